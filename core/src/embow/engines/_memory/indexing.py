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
from embow.engines.contract import IndexInfo
from embow.engines.indexes import Covering, Definition, Libraries, RowIds, Step
from embow.errors import ConfigurationError, near_name

_TAKEN = 8192
"""Rows handed to a library at a time."""

Column = tuple[str, int]
"""A column in the life of its name: that, and the version it came with."""


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
    if name in indexes:
        return indexes[name]
    raise ConfigurationError(
        f"Table '{table}' has no index '{name}'.{near_name(name, indexes)} "
        f"Indexes: {', '.join(indexes) or 'none'}."
    )


def coverings(
    indexes: Mapping[str, MemoryIndex], state: State, libraries: Libraries
) -> list[Covering[Any]]:
    """Return the indexes of the columns that a version has."""
    found = []
    for _, index in sorted(indexes.items()):
        definition = index.definition
        if definition.column not in state.schema.names:
            continue
        column = state.schema.field(definition.column).type
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
    if definition.column not in latest.schema.names:
        return index, 0
    library, _ = library_of(libraries, definition, latest.schema.field(definition.column).type)
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
    known = {each: index.pieces[each] for each in index.pieces if each in _columns(states)}
    return replace(index, pieces={**known, column: tuple(pieces)}), len(todo)


def _column(definition: Definition, state: State) -> Column:
    return definition.column, state.born.get(definition.column, 0)


def _columns(states: Mapping[int, State]) -> set[Column]:
    return {item for state in states.values() for item in state.born.items()}


def _has(definition: Definition, state: State, column: Column) -> bool:
    return definition.column in state.schema.names and _column(definition, state) == column


@dataclass(frozen=True, eq=False)
class _MemoryRows(Rows):
    """The rows of one column in any version."""

    column: pa.ChunkedArray
    every: RowIds
    until: int

    @classmethod
    def of(cls, name: str, states: list[State]) -> _MemoryRows:
        ids = np.concatenate([state.row_ids for state in states])
        column = pa.chunked_array(
            [chunk for state in states for chunk in state.rows[name].chunks],
            states[0].schema.field(name).type,
        )
        every, first = np.unique(ids, return_index=True)
        return cls(column.take(first), every, int(every[-1]) + 1 if len(every) else 0)

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
