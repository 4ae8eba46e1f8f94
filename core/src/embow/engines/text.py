"""Full text: what is asked of a library of words, and the rows that it has no piece of.

A library makes pieces of the texts of rows, and answers queries over several of them. Rows that no
piece covers are analysed here, in memory, when the first query needs them. What was analysed stays
for the versions that follow, since a row that has an id never changes; so a row is found from the
moment its commit is seen, and pieces are a matter of speed alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._cancel import stop_if_cancelled
from embow.engines._forks import Guard
from embow.engines.indexes import Covered, Covering, Kept, Library, Mask, RowIds
from embow.errors import MissingSdkError
from embow.query import FullTextQuery

P = TypeVar("P")

KIND = "fts"
"""The kind of index that full text is."""

Scores = NDArray[np.float32]
Texts = Callable[[RowIds], Iterator[pa.Array]]
"""Reads the values of rows by their ids, in that order."""


class TextLibrary(Library[P]):
    """Finds rows by words. Its pieces stand for all rows they are made of, those without words too.

    Statistics are of the rows that are live in a version, so what a query scores does not depend
    on how the rows lie in pieces.
    """

    @abstractmethod
    def tokenize(self, text: str) -> list[str]:
        """Return the terms that a text becomes, in their order."""

    @abstractmethod
    def open(self, parts: Sequence[Covered[P]]) -> Any:
        """Return the pieces of one column in one version, as `search` takes them.

        What is kept in it for the queries that follow may be used by several threads.
        """

    @abstractmethod
    def search(
        self,
        opened: Mapping[str, Any],
        columns: Sequence[str],
        query: FullTextQuery,
        limit: int | None,
        wanted: RowIds | None,
    ) -> tuple[RowIds, Scores]:
        """Return row ids and scores, the best first, and of equal scores the lower id.

        Args:
            opened: What `open` of this or another definition returned, by column.
            columns: Where what names no column in the query is looked for.
            query: What to look for.
            limit: How many rows at most; ``None`` for all.
            wanted: Rows that may be found, ids ascending; ``None`` for all that are live.

        Raises:
            DataError: The query asks for what the settings of an index do not allow.
        """


def is_text(covering: Covering[Any]) -> bool:
    """Return whether an index is one of full text."""
    return covering.definition.kind == KIND or isinstance(covering.library, TextLibrary)


class TextMemory:
    """Rows of a table that no piece of a text index covers, analysed once for all versions."""

    def __init__(self) -> None:
        self._columns: dict[tuple[Any, str], _Column[Any]] = {}
        self._guard = Guard()

    def open(
        self, covering: Covering[Any], version: int, texts: Texts
    ) -> tuple[TextLibrary[Any], Any]:
        """Return the library of an index, and all rows of a version as its `search` takes them.

        Args:
            covering: The index in that version.
            version: Number of the version.
            texts: Reads values of the column.

        Raises:
            MissingSdkError: The library is not installed.
        """
        library = covering.library
        if not isinstance(library, TextLibrary):
            raise MissingSdkError(f"Words cannot be looked for. {covering.trouble}")
        key = covering.source, library.fingerprint()
        with self._guard:
            column = self._columns.pop(key, None) or _Column(library)
            self._columns[key] = column  # Behind all others.
            while len(self._columns) > _COLUMNS:  # Of settings that an index no longer has.
                del self._columns[next(iter(self._columns))]
        return library, column.open(covering, version, texts)


_COLUMNS = 64
"""Columns, each in one analysis, whose rows stay analysed."""

_VERSIONS = 4
"""Versions of a column that stay opened."""


@dataclass(frozen=True, eq=False)
class _Analysed(Generic[P]):
    """A piece that is in no file; ``seen`` are the rows it was made from, also those of null."""

    piece: P
    row_ids: RowIds
    seen: RowIds


class _Column(Generic[P]):
    """What was analysed of one column, for all versions that are read."""

    def __init__(self, library: TextLibrary[P]) -> None:
        self._library = library
        self._guard = Guard()
        self._pieces: list[_Analysed[P]] = []
        self._newest = 0
        self._opened: dict[tuple[int, ...], tuple[Any, Any]] = {}

    def open(self, covering: Covering[P], version: int, texts: Texts) -> Any:
        """Return all rows of a version, those that no piece covers analysed."""
        key = version, *(id(part.piece) for part in covering.parts)
        with self._guard:
            known = self._opened.pop(key, None)
            if known is None:
                rest = self._analyse(covering.rest, version, texts)
                known = covering.parts, self._library.open([*covering.parts, *rest])
            self._opened[key] = known  # Behind all others; it holds what the key is the id of.
            while len(self._opened) > _VERSIONS:
                del self._opened[next(iter(self._opened))]
            return known[1]

    def _analyse(self, wanted: RowIds, version: int, texts: Texts) -> list[Covered[P]]:
        fresh = np.ones(len(wanted), np.bool_)
        for each in self._pieces:
            among, there, _ = _shared(each.seen, wanted)
            fresh[among][there] = False
        pieces = [*self._pieces]
        if fresh.any():
            pieces.append(self._piece(wanted[fresh], texts))
        parts = []
        used = []
        for each in pieces:
            _, there, live = _shared(each.row_ids, wanted)
            if there.any():
                used.append(each)
                parts.append(Covered(each.piece, each.row_ids, live))
        if version >= self._newest:  # What an older version lacks is of no use to those to come.
            self._newest, self._pieces = version, self._joined(used)
        return parts

    def _piece(self, row_ids: RowIds, texts: Texts) -> _Analysed[P]:
        valid: list[Mask] = []

        def values() -> Iterator[pa.Array]:
            for array in texts(row_ids):
                valid.append(array.is_valid().to_numpy(zero_copy_only=False))
                yield array.drop_null() if array.null_count else array

        piece = self._library.build(values(), (), lambda _: stop_if_cancelled())
        there = np.concatenate([np.zeros(0, np.bool_), *valid])
        return _Analysed(piece, row_ids if there.all() else row_ids[there], row_ids)

    def _joined(self, pieces: list[_Analysed[P]]) -> list[_Analysed[P]]:
        """Return fewer pieces: one that is not much larger than what comes behind it is joined.

        So a row is copied only a few times, however many small commits there are.
        """
        joined: list[_Analysed[P]] = []
        for each in pieces:
            while (
                joined
                and len(joined[-1].seen) < 2 * len(each.seen)
                and joined[-1].seen[-1] < each.seen[0]
            ):
                last = joined.pop()
                both = self._library.build((), (Kept(last.piece), Kept(each.piece)), lambda _: None)
                each = _Analysed(
                    both,
                    np.concatenate([last.row_ids, each.row_ids]),
                    np.concatenate([last.seen, each.seen]),
                )
            joined.append(each)
        return joined


def _shared(held: RowIds, wanted: RowIds) -> tuple[slice, Mask, Mask | None]:
    """Return which rows two ascending arrays share.

    Returns:
        Where in ``wanted`` the range of ``held`` is; which rows there are held; which of those held
        are wanted, ``None`` where all are.
    """
    low, high = np.searchsorted(wanted, [held[0], held[-1] + 1]) if len(held) else (0, 0)
    inside = wanted[low:high]
    if len(inside) == len(held) and np.array_equal(inside, held):
        return slice(low, high), np.ones(len(inside), np.bool_), None
    at = np.searchsorted(held, inside)
    there = held[at] == inside
    live = np.zeros(len(held), np.bool_)
    live[at[there]] = True
    return slice(low, high), there, live
