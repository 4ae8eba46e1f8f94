"""Indexes of a table in memory: the pieces that an engine of files writes, held as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embow._cancel import stop_if_cancelled
from embow.engines._indexing import Opened, Ranges, Rows, covered, library_of, works
from embow.engines._memory.snapshot import State
from embow.engines._paths import column_of, type_at, values_at
from embow.engines.contract import IndexInfo, check_index
from embow.engines.indexes import Covering, Definition, Libraries, RowIds, Step

_TAKEN = 8192
"""Rows handed to a library at a time."""

Column = tuple[str, int]
"""A column in the life of its name: its path, and the version it came with."""


@dataclass(frozen=True, eq=False)
class MemoryIndex:
    """An index and its pieces, by column and row."""

    definition: Definition
    pieces: Mapping[Column, tuple[Opened[Any], ...]]

    def of(self, state: State) -> tuple[Opened[Any], ...]:
        """Return the pieces of the column as a version has it."""
        return self.pieces.get(_column(self.definition, state), ())


def need(table: str, indexes: Mapping[str, MemoryIndex], name: str) -> MemoryIndex:
    """Return an index by name.

    Raises:
        ConfigurationError: There is none.
    """
    check_index(table, name, indexes, new=False)
    return indexes[name]


def coverings(
    indexes: Mapping[str, MemoryIndex], state: State, libraries: Libraries
) -> list[Covering[Any]]:
    """Return the indexes of the columns that a version has."""
    found = []
    for _, index in sorted(indexes.items()):
        definition = index.definition
        column = _type(definition, state)
        if column is None:
            continue
        library, trouble = library_of(libraries, definition, column)
        pieces = () if library is None else index.of(state)
        live = [np.isin(each.row_ids, state.row_ids, assume_unique=True) for each in pieces]
        parts = tuple(
            covered(each, None if mask.all() else mask)
            for each, mask in zip(pieces, live, strict=True)
        )
        rest = Ranges(pieces).outside(state.row_ids)
        source = _column(definition, state)
        found.append(Covering(definition, library, parts, rest, trouble, source))
    return found


def told(index: MemoryIndex, state: State, covering: Covering[Any] | None) -> IndexInfo:
    """Return what is listed of an index."""
    if covering is None:
        return IndexInfo(index.definition, 0, state.rows.num_rows, trouble="Its column is gone.")
    rows, rest = covering.rows, len(covering.rest)
    pieces = len(index.of(state))
    return IndexInfo(index.definition, rows, rest, pieces, trouble=covering.trouble)


def extended(
    index: MemoryIndex, states: Mapping[int, State], libraries: Libraries, step: Step
) -> tuple[MemoryIndex, int]:
    """Return an index with what is worth building, and how many pieces were built."""
    latest = states[max(states)]
    definition = index.definition
    kind = _type(definition, latest)
    library, _ = (None, "") if kind is None else library_of(libraries, definition, kind)
    if library is None:
        return index, 0
    column = _column(definition, latest)
    alike = [each for each in states.values() if _has(definition, each, column)]
    rows = _MemoryRows.of(definition.column, alike)
    pieces = [each for each in index.of(latest) if len(rows.ids(each.first_row, each.next_row))]

    def going_on(count: int) -> None:
        stop_if_cancelled()
        step(count)

    todo = [each for each in works(library, pieces, rows) if each.rows]
    for work in todo:
        made = work.build(library, rows, going_on)
        pieces = [each for each in pieces if each not in work.old]
        pieces = sorted([*pieces, made], key=lambda each: each.first_row)
    there = _columns(states)
    known = {each: p for each, p in index.pieces.items() if (column_of(each[0]), each[1]) in there}
    return replace(index, pieces={**known, column: tuple(pieces)}), len(todo)


def _column(definition: Definition, state: State) -> Column:
    return definition.column, state.born.get(column_of(definition.column), 0)


def _type(definition: Definition, state: State) -> pa.DataType | None:
    """Return the type of what is indexed; ``None`` where it is not there."""
    schema = state.schema
    return type_at(dict(zip(schema.names, schema.types, strict=True)), definition.column)


def _columns(states: Mapping[int, State]) -> set[Column]:
    return {item for state in states.values() for item in state.born.items()}


def _has(definition: Definition, state: State, column: Column) -> bool:
    return _type(definition, state) is not None and _column(definition, state) == column


@dataclass(frozen=True, eq=False)
class _MemoryRows(Rows):
    """The rows of one column, or of a field within, in any version."""

    column: pa.ChunkedArray
    every: RowIds
    until: int

    @classmethod
    def of(cls, path: str, states: list[State]) -> _MemoryRows:
        name = column_of(path)
        ids = np.concatenate([state.row_ids for state in states])
        column = pa.chunked_array(
            [chunk for state in states for chunk in state.rows[name].chunks],
            states[0].schema.field(name).type,
        )
        every, first = np.unique(ids, return_index=True)
        values = values_at(column.take(first), path)
        return cls(values, every, int(every[-1]) + 1 if len(every) else 0)

    @property
    def next_row(self) -> int:
        return self.until

    def ids(self, first: int, end: int) -> RowIds:
        return self.every[slice(*np.searchsorted(self.every, [first, end]))]

    def values(self, first: int, end: int) -> Iterator[tuple[RowIds, pa.Array]]:
        low, high = np.searchsorted(self.every, [first, end]).tolist()
        for start in range(low, high, _TAKEN):
            stop = min(start + _TAKEN, high)
            array = self.column.slice(start, stop - start).combine_chunks()
            valid = np.asarray(pc.is_valid(array))
            yield self.every[start:stop][valid], array.filter(pa.array(valid))
