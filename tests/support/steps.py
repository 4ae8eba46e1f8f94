"""Short ways to do what most tests of an engine do, each in one commit on the latest version."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from embow.engines.contract import (
    ROW_ID,
    Base,
    Change,
    Commit,
    EngineTable,
    RowIds,
    ScanQuery,
    VectorQuery,
)
from embow.engines.predicate import parse_predicate


def base(table: EngineTable) -> Base:
    """Return table and version as they are now."""
    with table.snapshot() as snapshot:
        return snapshot.base


def add(table: EngineTable, batches: Iterable[pa.RecordBatch]) -> Commit:
    """Add batches."""
    now = base(table)
    return table.commit(Change(now, add=[table.write(batches, base=now)]))


def matching(table: EngineTable, where: str) -> RowIds:
    """Return the ids of the rows that satisfy a condition."""
    with table.snapshot() as snapshot:
        return snapshot.row_ids(parse_predicate(where, snapshot.schema))


def remove(table: EngineTable, where: str) -> Commit:
    """Remove the rows that satisfy a condition."""
    return table.commit(Change(base(table), remove=matching(table, where)))


def overwrite(
    table: EngineTable, schema: pa.Schema, batches: Iterable[pa.RecordBatch] = ()
) -> Commit:
    """Replace everything."""
    now = base(table)
    return table.overwrite(schema, [table.write(batches, base=now, schema=schema)], base=now)


def put_column(table: EngineTable, name: str, row_ids: RowIds, values: list[int]) -> Commit:
    """Add a column of integers."""
    now = base(table)
    data = pa.record_batch({ROW_ID: pa.array(row_ids, pa.int64()), name: pa.array(values, "int64")})
    staged = table.write_column(pa.field(name, pa.int64()), [data], base=now)
    return table.commit(Change(now, add=[staged]))


def drop_columns(table: EngineTable, *names: str) -> Commit:
    """Remove columns."""
    return table.drop_columns(names, base=base(table))


def rows(table: EngineTable, version: int | str | None = None) -> list[dict[str, Any]]:
    """Return the rows of a version, in order."""
    with table.snapshot(version) as snapshot:
        found: list[dict[str, Any]] = snapshot.scan(ScanQuery()).read_all().to_pylist()
    return found


def ids(table: EngineTable, version: int | str | None = None) -> list[int]:
    """Return the column ``id`` of a version, in order."""
    return [row["id"] for row in rows(table, version)]


def search(table: EngineTable, *args: Any, **options: Any) -> list[pa.Table]:
    """Search the latest version; arguments as for `VectorQuery`."""
    with table.snapshot() as snapshot:
        return snapshot.search(VectorQuery(*args, **options))
