"""What a table tells of its indexes, in LanceDB's words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from embow import index as core
from embow.errors import ConfigurationError, near_name
from embow_lancedb._scalars import scalars


class _Items:
    """Attributes that can be had by ``[]`` too."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


@dataclass(frozen=True)
class IndexConfig(_Items):
    """One index of a table.

    Attributes:
        name: Its name.
        index_type: What LanceDB calls such an index: ``"FTS"``, ``"HnswSq"``, ``"HnswFlat"``.
        columns: The column it is of.
        num_indexed_rows: Rows it covers; all where they are so few that reading them is faster.
        num_unindexed_rows: Rows that are read beside it.
        size_bytes: Size of its files.
        num_segments: Pieces it is in.
        index_details: What it was made with.
    """

    name: str
    index_type: str
    columns: list[str]
    num_indexed_rows: int
    num_unindexed_rows: int
    size_bytes: int
    num_segments: int
    index_details: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class IndexStatistics(_Items):
    """How much of a table an index covers.

    Attributes:
        num_indexed_rows: Rows it covers; all where they are so few that reading them is faster.
        num_unindexed_rows: Rows that are read beside it.
        index_type: ``"FTS"``, ``"IVF_HNSW_SQ"`` or ``"IVF_HNSW_FLAT"``.
        distance_type: The distance it is for; ``None`` for words.
        num_indices: Pieces it is in.
    """

    num_indexed_rows: int
    num_unindexed_rows: int
    index_type: str
    distance_type: str | None = None
    num_indices: int | None = None


def _is_bytes(stats: core.IndexStats) -> bool:
    return stats.settings.get("storage") == "int8"


def _covered(stats: core.IndexStats) -> tuple[int, int]:
    """Return how many rows an index covers, and how many not.

    An index without a piece has nothing left to do, and programs wait until all rows are in it.
    """
    rows, rest = stats.num_indexed_rows, stats.num_unindexed_rows
    return (rows, rest) if stats.num_pieces or stats.trouble else (rows + rest, 0)


def listed_indexes(
    built: Iterable[core.IndexStats], schema: pa.Schema, rows: int
) -> list[IndexConfig]:
    """Return what is built and what is only noted, by name."""
    found = [
        IndexConfig(
            name=stats.name,
            index_type={"fts": "FTS", "hnsw": "HnswSq" if _is_bytes(stats) else "HnswFlat"}.get(
                stats.kind, stats.kind
            ),
            columns=[stats.column],
            num_indexed_rows=_covered(stats)[0],
            num_unindexed_rows=_covered(stats)[1],
            size_bytes=stats.num_bytes,
            num_segments=stats.num_pieces,
            index_details=dict(stats.settings),
        )
        for stats in built
    ]
    found += [
        IndexConfig(each.name, each.kind, [each.path], rows, 0, 0, 0, {})
        for each in scalars(schema)
    ]
    return sorted(found, key=lambda each: each.name)


_STATISTICS = {
    "BTree": "BTREE",
    "Bitmap": "BITMAP",
    "LabelList": "LABEL_LIST",
    "Fm": "FM",
    "IvfFlat": "IVF_FLAT",
    "IvfSq": "IVF_SQ",
    "IvfPq": "IVF_PQ",
    "IvfRq": "IVF_RQ",
    "HnswPq": "IVF_HNSW_PQ",
    "HnswSq": "IVF_HNSW_SQ",
    "HnswFlat": "IVF_HNSW_FLAT",
}


def statistics(listed: Iterable[IndexConfig], name: str) -> IndexStatistics | None:
    for each in listed:
        if each.name == name:
            return IndexStatistics(
                num_indexed_rows=each.num_indexed_rows,
                num_unindexed_rows=each.num_unindexed_rows,
                index_type=_STATISTICS.get(each.index_type, each.index_type),
                distance_type=each.index_details.get("metric"),
                num_indices=max(each.num_segments, 1),
            )
    return None


def require_index(listed: Iterable[IndexConfig], name: str) -> None:
    known = [each.name for each in listed]
    if name not in known:
        raise ConfigurationError(
            f"There is no index {name!r}.{near_name(name, known)} "
            f"Indexes: {', '.join(known) or 'none'}."
        )


def tokens(
    listed: Iterable[core.IndexStats], query: str, column: str | None, name: str | None
) -> list[Any]:
    """Return the words of a text by an index of a column, or of a name.

    Raises:
        ConfigurationError: Neither or both are given, or there is none.
    """
    if (column is None) == (name is None):
        raise ConfigurationError("Specify exactly one of 'column' and 'index_name'.")
    for stats in listed:
        if stats.kind == "fts" and (stats.column == column or stats.name == name):
            from embow_text import Analysis, tokenize

            return tokenize(query, Analysis(**stats.settings))
    what = f"Column {column!r} does" if name is None else f"Index {name!r} is none: the table does"
    raise ConfigurationError(f"{what} not have a full text search index. Create one with FTS().")
