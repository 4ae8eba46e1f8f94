"""Which rows of a merge meet, and what becomes of those and of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.incoming.vectors import flags, validity
from embow._table.writing.rows import take_rows
from embow._table.writing.staging import chunks, stored_rows
from embow.engines.contract import RowIds, Snapshot
from embow.engines.predicate import evaluate_expression
from embow.errors import DataError, PredicateError
from embow.expr import Condition


def _none() -> RowIds:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Clauses:
    """What a merge does with each kind of row."""

    on: tuple[str, ...]
    update: bool = False
    update_where: Condition | None = None
    insert: bool = False
    delete: bool = False
    delete_where: Condition | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Which rows meet: positions in the data, and ids of stored rows."""

    sources: NDArray[np.int64] = field(default_factory=_none)
    """Rows of the data that change the stored ``targets``."""
    targets: RowIds = field(default_factory=_none)
    inserted: NDArray[np.int64] = field(default_factory=_none)
    deleted: RowIds = field(default_factory=_none)

    @property
    def rows(self) -> tuple[NDArray[np.int64], ...]:
        """What the written rows are made of."""
        return self.sources, self.targets, self.inserted


def match_rows(
    snapshot: Snapshot,
    columns: Columns,
    clauses: Clauses,
    incoming: pa.RecordBatch,
) -> Match:
    """Find which rows meet, and what becomes of the others.

    Raises:
        DataError: A key comes twice in the data.
    """
    keyed = _keyed_rows(incoming, clauses.on)
    keys = take_rows(incoming.select(list(clauses.on)), keyed)
    keys = keys.rename_columns([columns.physical(name) for name in clauses.on])
    at, targets = snapshot.locate(keys)
    sources = keyed[at]
    deleted = inserted = _none()
    if clauses.delete:
        candidates = snapshot.row_ids(columns.predicate(clauses.delete_where))
        deleted = np.setdiff1d(candidates, targets)
    if clauses.insert:
        unmatched = np.ones(incoming.num_rows, np.bool_)
        unmatched[sources] = False
        inserted = np.flatnonzero(unmatched)
    if not clauses.update:
        return Match(inserted=inserted, deleted=deleted)
    if clauses.update_where is not None:
        hits = _hits(snapshot, columns, clauses.update_where, incoming, sources, targets)
        sources, targets = sources[hits], targets[hits]
    return Match(sources, targets, inserted, deleted)


def _keyed_rows(incoming: pa.RecordBatch, on: Sequence[str]) -> NDArray[np.int64]:
    """Return the positions of the rows whose key holds no null."""
    complete = np.ones(incoming.num_rows, np.bool_)
    for name in on:
        complete &= validity(incoming.column(name))
    positions = np.flatnonzero(complete)
    if _distinct(take_rows(incoming.select(list(on)), positions)):
        return positions
    keys = zip(*(incoming.column(name).to_pylist() for name in on), strict=True)
    seen: dict[tuple[Any, ...], int] = {}
    for position, key in enumerate(keys):
        if complete[position] and seen.setdefault(key, position) != position:
            shown = key[0] if len(key) == 1 else key
            raise DataError(
                f"Rows {seen[key]} and {position} have the same key {shown!r}. Keys must be "
                "unique in the data of a merge; nothing was changed."
            )
    return positions


def _distinct(keys: pa.RecordBatch) -> bool:
    """Return whether no key of one column comes twice; where Arrow cannot tell, not."""
    try:
        return keys.num_columns == 1 and bool(len(pc.unique(keys.column(0))) == keys.num_rows)
    except pa.ArrowNotImplementedError:
        return False


def _hits(
    snapshot: Snapshot,
    columns: Columns,
    where: Condition,
    incoming: pa.RecordBatch,
    sources: NDArray[np.int64],
    targets: RowIds,
) -> NDArray[np.bool_]:
    """Return which matched rows satisfy the condition of the update."""
    found = [np.empty(0, np.bool_)]
    for old, at in zip(stored_rows(snapshot, targets), chunks(sources), strict=True):
        joined = pa.RecordBatch.from_arrays(
            [_struct(columns.to_visible(old)), _struct(take_rows(incoming, at))],
            names=["target", "source"],
        )
        hits = evaluate_expression(where, joined.schema, joined)
        if not (pa.types.is_boolean(hits.type) or pa.types.is_null(hits.type)):
            raise PredicateError(f"The condition '{where}' gives {hits.type}, not true or false.")
        hits = hits.cast(pa.bool_())
        found.append(flags(hits) & validity(hits))
    return np.concatenate(found)


def _struct(batch: pa.RecordBatch) -> pa.StructArray:
    return pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))
