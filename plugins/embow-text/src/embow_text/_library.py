"""Segments as the pieces of an index of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.indexes import Covered, Kept, RowIds, Sink, Step
from embow.engines.text import TextLibrary
from embow.errors import ConfigurationError
from embow.query import FullTextQuery
from embow_text.analysis import Analysis, fingerprint
from embow_text.building import build
from embow_text.files import read, write
from embow_text.index import Part, TextIndex
from embow_text.merging import merge
from embow_text.searching import search
from embow_text.segment import Segment
from embow_text.tokens import is_text, tokenize


class TextSegments(TextLibrary[Segment]):
    """Builds and searches segments of one column.

    Args:
        settings: Those of ``embow.index.FTS``.
        column: Type of the column.

    Raises:
        ConfigurationError: A setting has no such value, or the column holds no texts.
    """

    def __init__(self, settings: Mapping[str, Any], column: pa.DataType) -> None:
        self._analysis = Analysis(**settings)
        self._type = column
        if not is_text(column):
            raise ConfigurationError(
                f"A full-text index needs a column of texts or of lists of texts, not of {column}."
            )

    def fingerprint(self) -> str:
        return fingerprint(self._analysis)

    def build(
        self, values: Iterable[pa.Array], onto: Sequence[Kept[Segment]], step: Step
    ) -> Segment:
        segments = [each.piece for each in onto]
        kept = [_mask(each) for each in onto]
        for array in values:
            segments.append(build(array, self._analysis))
            kept.append(None)
            step(len(array))
        if not segments:
            return build(pa.array([], self._type), self._analysis)
        return segments[0] if len(segments) == 1 and kept[0] is None else merge(segments, kept)

    def write(self, piece: Segment, sink: Sink) -> None:
        write(piece, sink)

    def read(self, data: memoryview, rows: int) -> Segment:
        segment = read(data)
        if len(segment) != rows:
            raise ValueError(f"it has {len(segment)} rows, should have {rows}")
        return segment

    def tokenize(self, text: str) -> list[str]:
        return [token.text for token in tokenize(text, self._analysis)]

    def open(self, parts: Sequence[Covered[Segment]]) -> TextIndex:
        return TextIndex([_part(each) for each in parts], self._analysis)

    def search(
        self,
        opened: Mapping[str, Any],
        columns: Sequence[str],
        query: FullTextQuery,
        limit: int | None,
        wanted: RowIds | None,
    ) -> tuple[RowIds, NDArray[np.float32]]:
        if wanted is not None:
            opened = {name: index.among(wanted) for name, index in opened.items()}
        hits = search(opened, query, limit, columns=columns)
        return hits.ids, hits.scores.astype(np.float32, copy=False)


def _mask(kept: Kept[Segment]) -> NDArray[np.bool_] | None:
    if kept.places is None:
        return None
    mask = np.zeros(len(kept.piece), np.bool_)
    mask[kept.places] = True
    return mask


def _part(covered: Covered[Segment]) -> Part:
    ids = covered.row_ids
    dense = len(ids) and ids[-1] - ids[0] == len(ids) - 1
    return Part(covered.piece, int(ids[0]) if dense else ids, covered.live, covered.live)
