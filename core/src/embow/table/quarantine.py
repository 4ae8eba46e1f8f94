"""Rows that could not be embedded, kept beside their table until they can be.

A hidden table of the same database holds the rows as the user gave them, with the column, class and
message of the failure. Used by ``Table.add`` under ``on_error="quarantine"`` and by
``Table.retry_failed``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from embow.engines.base import ROW_ID, Engine, EngineTable, ScanQuery
from embow.errors import TableExistsError, TableNotFoundError
from embow.pipeline import FailedRow
from embow.table.provenance import HIDDEN_PREFIX

_REASON = [
    pa.field(f"{HIDDEN_PREFIX}_failed_column", pa.string()),
    pa.field(f"{HIDDEN_PREFIX}_error_kind", pa.string()),
    pa.field(f"{HIDDEN_PREFIX}_error", pa.string()),
]
_SHOWN = ["failed_column", "error_kind", "error"]


def quarantine_name(table: str) -> str:
    """Return the name of the hidden table beside a table."""
    return f"{HIDDEN_PREFIX}_quarantine.{table}"


@dataclass(slots=True)
class Quarantine:
    """The failed rows of one table.

    Attributes:
        engine: Where the hidden table lives.
        table: Name of the table the rows were meant for.
        schema: The columns the user sees.
    """

    engine: Engine
    table: str
    schema: pa.Schema
    pending: list[pa.RecordBatch] = field(default_factory=list)

    def reject(self, rows: pa.RecordBatch, reasons: Sequence[FailedRow]) -> None:
        """Remember rows until :meth:`flush`."""
        columns = [
            pa.array([reason.column for reason in reasons], pa.string()),
            pa.array([reason.kind for reason in reasons], pa.string()),
            pa.array([reason.message for reason in reasons], pa.string()),
        ]
        fitted = [rows.column(f.name) for f in self.schema]
        batch = pa.RecordBatch.from_arrays([*fitted, *columns], schema=self._stored_schema())
        self.pending.append(batch)

    def prepare(self) -> bool:
        """Make the hidden table fit to take the remembered rows; return whether there are any."""
        if self.pending:
            self._open_or_create()
        return bool(self.pending)

    def flush(self) -> None:
        """Store the remembered rows durably."""
        if self.pending:
            stored = self._need()
            stored.append(self._take_pending(stored.schema()))

    def is_concerned(self) -> bool:
        """Return whether there are remembered rows or a hidden table."""
        return bool(self.pending) or self._open() is not None

    def start_over(self) -> None:
        """Store the remembered rows in the place of all earlier ones."""
        schema = self._stored_schema()
        rows = self._take_pending(schema)
        self.engine.create_table(quarantine_name(self.table), schema, rows, overwrite=True)

    def rows(self) -> pa.Table:
        """Return the failed rows, with ``failed_column``, ``error_kind`` and ``error``."""
        stored = self._open()
        if stored is None:
            fields = [*self.schema, *(pa.field(name, pa.string()) for name in self._shown())]
            return pa.schema([f.with_nullable(True) for f in fields]).empty_table()
        names = [name for name in self.schema.names if name in stored.schema().names]
        reasons = [f.name for f in _REASON]
        table = stored.scan(ScanQuery(columns=[*names, *reasons])).read_all()
        return table.rename_columns([*names, *self._shown()])

    def take(self) -> tuple[list[int], pa.Table]:
        """Return the ids of the failed rows, and the rows as the user gave them."""
        stored = self._open()
        if stored is None:
            return [], self.schema.empty_table()
        names = [name for name in self.schema.names if name in stored.schema().names]
        table = stored.scan(ScanQuery(columns=names, with_row_id=True)).read_all()
        return table.column(ROW_ID).to_pylist(), table.select(names)

    def settle(self, row_ids: Sequence[int]) -> None:
        """Replace these rows by the ones that failed again."""
        stored = self._need()
        stored.replace(row_ids, self._take_pending(stored.schema()))

    def drop(self) -> None:
        """Remove the hidden table, if there is one."""
        if self._open() is not None:
            self.engine.drop_table(quarantine_name(self.table))

    def rename(self, new_name: str) -> None:
        """Follow the table to its new name."""
        if self._open() is not None:
            self.engine.rename_table(quarantine_name(self.table), quarantine_name(new_name))

    def _shown(self) -> list[str]:
        """Return the names of the reasons, with ``_`` before one that is the user's already."""
        taken = self.schema.names
        return [f"_{name}" if name in taken else name for name in _SHOWN]

    def _open(self) -> EngineTable | None:
        try:
            return self.engine.open_table(quarantine_name(self.table))
        except TableNotFoundError:
            return None

    def _need(self) -> EngineTable:
        return self.engine.open_table(quarantine_name(self.table))

    def _take_pending(self, schema: pa.Schema) -> list[pa.RecordBatch]:
        """Return the remembered rows in the columns of the hidden table, and forget them."""
        pending, self.pending = self.pending, []
        return [
            pa.RecordBatch.from_arrays(
                [
                    batch.column(f.name)
                    if f.name in batch.schema.names
                    else pa.nulls(batch.num_rows, f.type)
                    for f in schema
                ],
                schema=schema,
            )
            for batch in pending
        ]

    def _open_or_create(self) -> EngineTable:
        stored = self._open()
        if stored is not None:
            for added in self._stored_schema():
                if added.name not in stored.schema().names:
                    stored.add_column(added, [])
            return stored
        name = quarantine_name(self.table)
        try:
            return self.engine.create_table(name, self._stored_schema(), [], overwrite=False)
        except TableExistsError:
            return self.engine.open_table(name)

    def _stored_schema(self) -> pa.Schema:
        return pa.schema([*(f.with_nullable(True) for f in self.schema), *_REASON])
