"""The part of the engine suite about columns that come and go, and tables that are replaced."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embow.engines.contract import ROW_ID, Change, EngineTable, VectorQuery
from embow.errors import CommitConflictError, MissingColumnError, SchemaError, UnknownColumnError
from embow_testing._engine_base import (
    SCHEMA,
    EngineTests,
    add,
    batch,
    conflict,
    ids,
    now,
    put,
    put_column,
    read,
    remove,
    row_ids,
    rows,
    set_metadata,
    stage,
    stage_column,
    values,
)

NUMBER = pa.field("n", pa.int64(), metadata={b"unit": b"m"})


def drop(table: EngineTable, *names: str) -> None:
    """Drop columns on the current version."""
    table.drop_columns(names, base=now(table))


class ColumnSuite(EngineTests):
    """Columns are added with values and dropped; the rows stay."""

    def test_a_column_is_added_by_row_id(self, table: EngineTable) -> None:
        """Values arrive in any order and in pieces; rows not mentioned get null."""
        with table.snapshot() as snapshot:
            one = row_ids(snapshot, "id IN (1, 3)")[::-1]
            two = row_ids(snapshot, "id = 0")
            pieces = [
                pa.record_batch({ROW_ID: one, "n": [30, 10]}),
                pa.record_batch({"n": pa.array([7], pa.int64()), ROW_ID: two}),
            ]
            staged = table.write_column(NUMBER, pieces, base=snapshot.base)
            assert staged.column == "n"
            table.commit(Change(snapshot.base, add=[staged]))
        assert values(table, "n") == {0: 7, 1: 10, 2: None, 3: 30, 4: None}
        with table.snapshot() as snapshot:
            assert snapshot.schema.equals(SCHEMA.append(NUMBER), check_metadata=True)

    def test_rows_removed_meanwhile_are_ignored(self, table: EngineTable) -> None:
        """Their values have nowhere to go."""
        with table.snapshot() as snapshot:
            staged = stage_column(table, NUMBER, {1: 10, 2: 20}, snapshot)
        remove(table, "id = 1")
        table.commit(Change(staged.base, add=[staged]))
        assert values(table, "n") == {0: None, 2: 20, 3: None, 4: None}

    def test_rows_added_meanwhile_are_null(self, table: EngineTable) -> None:
        """They came after the values were made; optimize changes nothing about it."""
        with table.snapshot() as snapshot:
            staged = stage_column(table, NUMBER, {0: 1, 4: 5}, snapshot)
        add(table, 5)
        table.commit(Change(staged.base, add=[staged]))
        expected = {0: 1, 1: None, 2: None, 3: None, 4: 5, 5: None}
        assert values(table, "n") == expected
        table.optimize(keep=timedelta(0))
        assert values(table, "n") == expected

    def test_rows_staged_before_the_column_are_null_in_it(self, table: EngineTable) -> None:
        """They conflict, and are committed when the change is planned again."""
        staged = stage(table, 5)
        put_column(table, NUMBER, {0: 1})
        conflict(table, Change(staged.base, add=[staged]))
        with table.snapshot() as snapshot:
            table.commit(Change(snapshot.base, add=[staged]))
        assert values(table, "n") == {0: 1, 1: None, 2: None, 3: None, 4: None, 5: None}

    def test_rows_are_written_with_the_new_column(self, table: EngineTable) -> None:
        """It is a column like the others."""
        put_column(table, NUMBER, {})
        with table.snapshot() as snapshot:
            data = pa.record_batch({"id": [5], "n": [50]})
            staged = table.write([data], base=snapshot.base)
            table.commit(Change(snapshot.base, add=[staged]))
        assert values(table, "n")[5] == 50

    def test_an_added_vector_column_is_searchable(self, table: EngineTable) -> None:
        """The values count in a search at once, also for rows that come later."""
        field = pa.field("v2", pa.list_(pa.float32(), 2))
        put_column(table, field, {3: [1.0, 0.0]})
        with table.snapshot() as snapshot:
            data = pa.RecordBatch.from_pylist([{"id": 9, "v2": [1.0, 1.0]}], snapshot.schema)
            staged = table.write([data], base=snapshot.base)
            table.commit(Change(snapshot.base, add=[staged]))
        query = VectorQuery("v2", np.array([[1, 1]], np.float32), 5)
        with table.snapshot() as snapshot:
            assert snapshot.search(query)[0]["id"].to_pylist() == [9, 3]

    def test_columns_rows_and_metadata_come_in_one_commit(self, table: EngineTable) -> None:
        """The rows of the same change have no value in the new column."""
        one = pa.field("one", pa.string())
        with table.snapshot() as snapshot:
            columns = [
                stage_column(table, one, {0: "a"}, snapshot),
                stage_column(table, NUMBER, {4: 4}, snapshot),
            ]
            staged = [stage(table, 5), *columns]
            table.commit(Change(snapshot.base, add=staged, metadata={"a": "b"}))
            version = snapshot.base.version + 1
        with table.snapshot() as snapshot:
            assert (snapshot.base.version, snapshot.metadata["a"]) == (version, "b")
            assert snapshot.schema == SCHEMA.append(one).append(NUMBER)
            assert read(snapshot, "n", "id >= 4") == [4, None]

    def test_a_column_without_values_takes_no_staging(self, table: EngineTable) -> None:
        """It is null in every row, also in rows staged before, and takes values from then on."""
        earlier = stage(table, 5)
        table.commit(Change(now(table), columns=[NUMBER]))
        assert values(table, "n") == dict.fromkeys(range(5))
        with table.snapshot() as snapshot:
            assert snapshot.schema.equals(SCHEMA.append(NUMBER), check_metadata=True)
            data = pa.record_batch({"id": [6], "n": [60]})
            staged = table.write([data], base=snapshot.base)
            table.commit(Change(snapshot.base, add=[earlier, staged]))
        expected = {**dict.fromkeys(range(6)), 6: 60}
        assert values(table, "n") == expected
        table.optimize(keep=timedelta(0))
        assert values(table, "n") == expected

    @pytest.mark.parametrize("count", [1, 3000])
    def test_rows_bring_columns_with_them(self, table: EngineTable, count: int) -> None:
        """Rows, columns and metadata are one version; the rows that were there are null in them."""
        unit = pa.field("unit", pa.string())
        data = pa.record_batch(
            {"id": range(5, 5 + count), "unit": ["kg"] * count, "n": range(count)}
        )
        with table.snapshot() as snapshot:
            base = snapshot.base
            staged = table.write([data], base=base, new=[NUMBER, unit])
            add(table, 4999)
            table.commit(Change(base, add=[staged], columns=[NUMBER, unit], metadata={"a": "b"}))
            assert snapshot.schema == SCHEMA
        with table.snapshot() as snapshot:
            assert (snapshot.base.version, snapshot.metadata["a"]) == (base.version + 2, "b")
            assert snapshot.schema == SCHEMA.append(NUMBER).append(unit)
            assert read(snapshot, "unit", "id = 5") == ["kg"]
        expected = {**dict.fromkeys([*range(5), 4999]), **{5 + n: n for n in range(count)}}
        assert values(table, "n") == expected
        table.optimize(keep=timedelta(0))
        assert values(table, "n") == expected

    def test_a_column_has_the_values_written_for_it_only(self, table: EngineTable) -> None:
        """Those written for one that another change brought are refused; old ones stay away."""
        with table.snapshot() as snapshot:
            data = pa.record_batch({"id": [5], "n": [50]})
            one = table.write([data], base=snapshot.base, new=[NUMBER])
            two = table.write([data], base=snapshot.base, new=[NUMBER])
            table.commit(Change(snapshot.base, add=[one], columns=[NUMBER]))
            conflict(table, Change(snapshot.base, add=[two], columns=[NUMBER]))
        with table.snapshot() as snapshot:
            conflict(table, Change(snapshot.base, add=[two], columns=[NUMBER]))
        drop(table, "n")
        table.commit(Change(now(table), columns=[NUMBER]))
        assert set(values(table, "n").values()) == {None}

    def test_rows_that_bring_a_column_fit_the_schema_as_it_was(self, table: EngineTable) -> None:
        """After a change of metadata they are to be written again: for what, only it can tell."""
        with table.snapshot() as snapshot:
            data = pa.record_batch({"id": [5], "n": [50]})
            staged = table.write([data], base=snapshot.base, new=[NUMBER])
        set_metadata(table, {"model": "new"})
        conflict(table, Change(now(table), add=[staged], columns=[NUMBER]))
        assert ids(table) == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize(
        "field",
        [pa.field("n", pa.int64(), nullable=False), pa.field("id", pa.int64())],
        ids=["not null", "there already"],
    )
    def test_rows_bring_no_column_that_cannot_come_in(
        self, table: EngineTable, field: pa.Field
    ) -> None:
        """It would lack values in other rows, or is one that they have."""
        with pytest.raises(SchemaError):
            table.write([], base=now(table), new=[field])
        with pytest.raises((SchemaError, CommitConflictError)):
            table.commit(Change(now(table), columns=[field]))

    def test_a_column_that_is_there_is_a_conflict(self, table: EngineTable) -> None:
        """Of two who add one name the second must look again, also on the new version."""
        with table.snapshot() as snapshot:
            one = stage_column(table, NUMBER, {0: 1}, snapshot)
            two = stage_column(table, NUMBER, {0: 2}, snapshot)
        table.commit(Change(one.base, add=[one]))
        with table.snapshot() as snapshot:
            for base in (two.base, snapshot.base):
                conflict(table, Change(base, add=[two]))
        assert values(table, "n")[0] == 1

    def test_a_column_staged_before_a_metadata_swap_stays_out(self, table: EngineTable) -> None:
        """Its values may be another model's."""
        with table.snapshot() as snapshot:
            staged = stage_column(table, NUMBER, {0: 1}, snapshot)
        set_metadata(table, {"model": "new"})
        conflict(table, Change(staged.base, add=[staged]))
        with table.snapshot() as snapshot:
            assert snapshot.schema == SCHEMA

    @pytest.mark.parametrize(
        ("field", "data", "error"),
        [
            (pa.field("n", pa.int64(), nullable=False), {}, SchemaError),
            (pa.field("n" * 64, pa.int64()), {}, SchemaError),
            (pa.field("_distance", pa.int64()), {}, SchemaError),
            (NUMBER, {ROW_ID: [0], "n": ["text"]}, SchemaError),
            (NUMBER, {"n": [1]}, MissingColumnError),
            (NUMBER, {ROW_ID: [0]}, MissingColumnError),
        ],
        ids=["not null", "long name", "reserved", "other type", "no row id", "no values"],
    )
    def test_values_that_do_not_fit_are_refused(
        self, table: EngineTable, field: pa.Field, data: dict[str, Any], error: type[Exception]
    ) -> None:
        """Before anything is committed."""
        batches = [pa.record_batch(data)] if data else []
        with table.snapshot() as snapshot, pytest.raises(error):
            table.write_column(field, batches, base=snapshot.base)

    def test_a_dropped_column_is_gone(self, table: EngineTable) -> None:
        """The rows stay, and are written without it; metadata may change after."""
        drop(table, "text")
        set_metadata(table, {"a": "b"})
        with table.snapshot() as snapshot:
            assert snapshot.schema.names == ["id", "vector"]
            staged = table.write([batch(rows(5)).drop_columns(["text"])], base=snapshot.base)
            table.commit(Change(snapshot.base, add=[staged]))
            with pytest.raises(UnknownColumnError):
                table.write([batch(rows(6))], base=snapshot.base)
        table.optimize(keep=timedelta(0))
        assert ids(table) == [0, 1, 2, 3, 4, 5]

    def test_a_name_that_is_used_again_starts_empty(self, table: EngineTable) -> None:
        """Old values do not come back; rows staged for the old one are refused, or null in it."""
        staged = stage(table, 5)
        drop(table, "text")
        put_column(table, pa.field("text", pa.string()), {1: "new"})
        expected = {0: None, 1: "new", 2: None, 3: None, 4: None}
        with table.snapshot() as snapshot, suppress(CommitConflictError):
            table.commit(Change(snapshot.base, add=[staged]))
            expected[5] = None
        assert values(table, "text") == expected

    def test_a_name_comes_back_with_another_type(self, table: EngineTable) -> None:
        """What was written under the old one does no harm, before and after optimize."""
        drop(table, "text")
        put_column(table, pa.field("text", pa.int64()), {1: 11})
        add_integer = pa.record_batch({"id": [5], "text": [55]})
        put(table, add_integer)
        expected = {0: None, 1: 11, 2: None, 3: None, 4: None, 5: 55}
        assert values(table, "text") == expected
        table.optimize(keep=timedelta(0))
        assert values(table, "text") == expected

    def test_dropping_on_an_old_version_is_a_conflict(self, table: EngineTable) -> None:
        """Where schema or metadata changed; rows that came in are no obstacle."""
        base = now(table)
        add(table, 5)
        table.drop_columns(["text"], base=base)
        with pytest.raises(CommitConflictError):
            table.drop_columns(["vector"], base=base)
        assert ids(table) == [0, 1, 2, 3, 4, 5]

    def test_an_unknown_column_is_not_dropped(self, table: EngineTable) -> None:
        """The message names it, and nothing else is dropped."""
        with table.snapshot() as snapshot, pytest.raises(UnknownColumnError, match="nope"):
            table.drop_columns(["text", "nope"], base=snapshot.base)
        with table.snapshot() as snapshot:
            assert snapshot.schema == SCHEMA

    def test_rows_staged_before_a_drop_come_in_without_it(self, table: EngineTable) -> None:
        """They conflict, and are committed when the change is planned again."""
        staged = stage(table, 5)
        drop(table, "text")
        conflict(table, Change(staged.base, add=[staged]))
        with table.snapshot() as snapshot:
            table.commit(Change(snapshot.base, add=[staged]))
        assert values(table, "vector")[5] == [5.0, 1.0, 0.0]
