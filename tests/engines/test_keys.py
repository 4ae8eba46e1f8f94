"""Rows found by keys, as Arrow finds them and as Python would."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embow.engines.contract import ROW_ID, _keys
from embow.engines.contract._keys import Keys

VALUES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int64": (pa.int64(), st.integers(-3, 3)),
    "string": (pa.string(), st.sampled_from(["", "a", "b", "\u00e9", "A"])),
    "float64": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, float("inf")])),
    "bool": (pa.bool_(), st.booleans()),
}


@pytest.mark.parametrize("second", [None, *VALUES])
@pytest.mark.parametrize("first", VALUES)
@given(data=st.data())
def test_keys_are_found_wherever_they_are(first: str, second: str | None, data: Any) -> None:
    """Of one column or two, nulls among them, in batches of any size: as a search in Python."""
    kinds = [VALUES[name] for name in (first, second) if name is not None]
    row = st.tuples(*(st.none() | values for _, values in kinds))
    stored = data.draw(st.lists(row, max_size=20))
    wanted = data.draw(st.lists(row, max_size=8, unique=True))
    size = data.draw(st.integers(1, 7))
    names = ["k", "l"][: len(kinds)]
    schema = pa.schema([(name, kind) for name, (kind, _) in zip(names, kinds, strict=True)])

    def batch(rows: list[Any], ids: list[int] | None = None) -> pa.RecordBatch:
        columns = [
            pa.array([each[at] for each in rows], schema.field(at).type) for at in range(len(names))
        ]
        if ids is None:
            return pa.RecordBatch.from_arrays(columns, names)
        return pa.RecordBatch.from_arrays([*columns, pa.array(ids, pa.int64())], [*names, ROW_ID])

    whole = batch(stored, list(range(10, 10 + len(stored))))
    batches = [whole.slice(at, size) for at in range(0, len(stored), size)]
    at, row_ids = Keys(batch(wanted)).among(batches)
    expected = [
        (wanted.index(each), 10 + n)
        for n, each in enumerate(stored)
        if None not in each and each in wanted
    ]
    assert list(zip(at.tolist(), row_ids.tolist(), strict=True)) == expected


def test_many_batches_are_looked_through_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are joined at once, each is found."""
    rows = pa.record_batch({"k": pa.array(range(100)), ROW_ID: pa.array(range(100))})
    batches = [rows.slice(at, 3) for at in range(0, 100, 3)]
    keys = Keys(pa.record_batch({"k": pa.array([99, 0, 50, 200])}))
    for limit in (1, 7, 1000):
        monkeypatch.setattr(_keys, "_ROWS", limit)
        at, row_ids = keys.among(batches)
        assert (at.tolist(), row_ids.tolist()) == ([1, 2, 0], [0, 50, 99])
