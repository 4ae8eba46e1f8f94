"""What the parts of the engine suite share: a schema, rows, and ways to look at a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embow.engines.base import (
    ROW_ID,
    Capability,
    Engine,
    EngineTable,
    Metric,
    ScanQuery,
    VectorQuery,
)
from embow.engines.predicate import Predicate, parse_predicate

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("vector", pa.list_(pa.float32(), 3)),
    ],
    metadata={b"owner": b"suite"},
)

Row = dict[str, Any]


def rows(*numbers: int) -> list[Row]:
    """Return rows of `SCHEMA` with distinct vectors."""
    return [{"id": n, "text": f"t{n}", "vector": [float(n), 1.0, 0.0]} for n in numbers]


def batch(data: Sequence[Row], schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    """Return rows as one record batch."""
    return pa.RecordBatch.from_pylist(list(data), schema=schema)


def ids(table: EngineTable, predicate: Predicate | None = None) -> list[int]:
    """Return the ``id`` of all rows, in the order of a scan."""
    query = ScanQuery(columns=["id"], predicate=predicate)
    found: list[int] = table.scan(query).read_all()["id"].to_pylist()
    return found


def row_ids(table: EngineTable, where: str) -> list[int]:
    """Return the row ids of the rows that satisfy a condition."""
    query = ScanQuery(
        columns=["id"], predicate=parse_predicate(where, table.schema()), with_row_id=True
    )
    found: list[int] = table.scan(query).read_all()[ROW_ID].to_pylist()
    return found


def nearest(
    table: EngineTable, vector: Sequence[float], k: int, metric: Metric = "l2", **options: Any
) -> pa.Table:
    """Return the result of one search."""
    query = np.array([vector], np.float32)
    return table.search(VectorQuery("vector", query, k, metric, **options))[0]


class EngineTests:
    @pytest.fixture
    def table(self, engine: Engine) -> EngineTable:
        """Return a table of five rows, ids 0 to 4."""
        return engine.create_table("t", SCHEMA, [batch(rows(0, 1, 2, 3, 4))], overwrite=False)

    @staticmethod
    def needs(engine: Engine, capability: Capability) -> None:
        """Skip where the engine does not declare a capability."""
        if capability not in engine.capabilities:
            pytest.skip(f"the engine has no {capability.name}")
