"""What is Lance's own: its numbers of columns and fragments, its cleaning, tables of others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest
from lance.fragment import write_fragments

from embow.engines.contract import ROW_ID, Capability, Change, EngineOptions, EngineTable, ScanQuery
from embow.engines.predicate import parse_predicate
from embow.errors import CommitConflictError, ConfigurationError, SchemaError
from embow.plugins._engines import engine_for
from embow_lance import LanceEngine
from embow_lance.fields import Shape

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("text", pa.string())])
NUMBER = pa.field("number", pa.int64())


def batch(*numbers: int) -> pa.RecordBatch:
    """Return rows."""
    return pa.record_batch({"id": list(numbers), "text": [f"t{n}" for n in numbers]}, schema=SCHEMA)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LanceEngine]:
    """Return an empty database."""
    engine = LanceEngine(f"lance://{tmp_path}/db", EngineOptions())
    yield engine
    engine.close()


def add(table: EngineTable, *numbers: int) -> None:
    """Add rows in one commit."""
    with table.snapshot() as snapshot:
        staged = table.write([batch(*numbers)], base=snapshot.base)
        table.commit(Change(snapshot.base, add=[staged]))


def remove(table: EngineTable, where: str) -> None:
    """Remove rows in one commit."""
    with table.snapshot() as snapshot:
        found = snapshot.row_ids(parse_predicate(where, snapshot.schema))
        table.commit(Change(snapshot.base, remove=found))


def read(table: EngineTable, name: str = "id") -> list[Any]:
    """Return one column in row order."""
    with table.snapshot() as snapshot:
        found: list[Any] = snapshot.scan(ScanQuery(columns=[name])).read_all()[name].to_pylist()
        return found


def dataset(engine: LanceEngine, name: str = "t") -> lance.LanceDataset:
    """Return the dataset behind a table."""
    assert engine.folder is not None
    return lance.dataset(str(engine.folder / f"{name}.lance"))


@pytest.mark.parametrize("scheme", ["lance", "s3", "gs", "az"])
def test_addresses_lead_to_it(scheme: str) -> None:
    """The plugin is found by the scheme."""
    assert (
        engine_for(f"{scheme}://bucket/db" if scheme != "lance" else "lance:///db") is LanceEngine
    )


@pytest.mark.parametrize("uri", ["lance://folder/db", "lance:folder"])
def test_an_address_that_is_not_absolute_is_refused(uri: str) -> None:
    """The first part would be taken for a host."""
    with pytest.raises(ConfigurationError, match="absolute"):
        LanceEngine(uri, EngineOptions())


@pytest.mark.parametrize("name", ["../t", "a/b", "", ".hidden", "a b"])
def test_a_name_that_would_leave_the_folder_is_refused(engine: LanceEngine, name: str) -> None:
    """Names are parts of addresses."""
    with pytest.raises(ConfigurationError, match="Invalid table name"):
        engine.create_table(name, SCHEMA)


@pytest.mark.parametrize(
    "arrow_type",
    [
        pa.string_view(),
        pa.month_day_nano_interval(),
        pa.list_(pa.string(), 2),
        pa.list_(pa.int8(), 0),
        pa.struct([]),
        pa.list_(pa.struct({"a": pa.string_view()})),
    ],
    ids=str,
)
def test_what_lance_cannot_hold_is_refused(engine: LanceEngine, arrow_type: pa.DataType) -> None:
    """Before anything is written, with the column's name."""
    with pytest.raises(SchemaError, match="'c'"):
        engine.create_table("t", pa.schema({"c": arrow_type}))
    assert engine.table_names() == []


def test_what_a_crash_leaves_is_no_table(engine: LanceEngine) -> None:
    """Data without a version are not listed, and do not take the name."""
    assert engine.folder is not None
    write_fragments(pa.table(batch(1)), str(engine.folder / "t.lance"), mode="create")
    assert engine.table_names() == []
    assert read(engine.create_table("t", SCHEMA, [batch(2)])) == [2]


def test_rows_stay_in_order_where_lance_compacts_some(engine: LanceEngine) -> None:
    """Lance sorts fragments by number, and compaction gives old rows a new one."""
    table = engine.create_table("t", SCHEMA, [batch(*range(10))])
    for numbers in ([10], [11], [*range(12, 22)], [22]):
        add(table, *numbers)
    dataset(engine).optimize.compact_files(target_rows_per_fragment=8)
    fragments = [each.fragment_id for each in dataset(engine).get_fragments()]
    assert fragments == sorted(fragments)
    assert dataset(engine).to_table()["id"].to_pylist() != [*range(23)]
    assert read(table) == [*range(23)]
    with table.snapshot() as snapshot:
        assert snapshot.row_ids().tolist() == [*range(23)]


def test_values_find_their_rows_after_a_compaction(engine: LanceEngine) -> None:
    """The fragments they were written for are gone; rows added since have none."""
    table = engine.create_table("t", SCHEMA, [batch(0, 1, 2, 3)])
    add(table, 4, 5)
    with table.snapshot() as snapshot:
        values = pa.record_batch({ROW_ID: pa.array([5, 0, 2]), "number": pa.array([50, 0, 20])})
        staged = table.write_column(NUMBER, [values], base=snapshot.base)
    remove(table, "id = 2")
    assert table.optimize(keep=timedelta(0)).fragments_after == 1
    add(table, 6)
    table.commit(Change(staged.base, add=[staged]))
    assert dict(zip(read(table), read(table, "number"), strict=True)) == {
        0: 0, 1: None, 3: None, 4: None, 5: 50, 6: None
    }  # fmt: skip


def test_rows_staged_for_another_schema_are_not_misread(engine: LanceEngine) -> None:
    """Lance knows columns of files by number alone, and would begin anew with each schema."""
    table = engine.create_table("t", SCHEMA, [batch(0)])
    with table.snapshot() as snapshot:
        staged = table.write([batch(1)], base=snapshot.base)
        swapped = pa.schema([pa.field("other", pa.int64()), pa.field("text", pa.string())])
        table.overwrite(swapped, base=snapshot.base)
    with table.snapshot() as snapshot:
        table.commit(Change(snapshot.base, add=[staged]))
    assert (read(table, "other"), read(table, "text")) == ([None], ["t1"])


def test_a_restore_counts_where_its_version_is_gone(engine: LanceEngine) -> None:
    """The metadata of the base differ from those restored, and both versions were removed."""
    table = engine.create_table("t", SCHEMA)
    with table.snapshot() as snapshot:
        table.commit(Change(snapshot.base, metadata={"model": "new"}))
    with table.snapshot() as snapshot:
        staged = table.write([batch(1)], base=snapshot.base)
    table.restore(1)
    add(table, 2)
    table.optimize(keep=timedelta(0))
    with pytest.raises(CommitConflictError, match="metadata"):
        table.commit(Change(staged.base, add=[staged]))


def test_a_schema_survives_being_taken_apart(engine: LanceEngine) -> None:
    """Lance's pickled form is no published one: a release that changes it fails here."""
    nested = pa.schema(
        [
            pa.field("s", pa.struct({"a": pa.int8(), "b": pa.list_(pa.string())}), nullable=False),
            pa.field("v", pa.list_(pa.float32(), 2), metadata={"unit": "m"}),
            pa.field("d", pa.dictionary(pa.int8(), pa.string())),
        ]
    )
    engine.create_table("t", nested, metadata={"k": "\u00e9\n"})
    schema = dataset(engine).lance_schema
    again = Shape.of(schema).schema()
    assert again.to_pyarrow().equals(schema.to_pyarrow(), check_metadata=True)
    assert Shape.of(schema).numbers == {"s": (0, 1, 2, 3), "v": (4,), "d": (5,)}


def test_a_lease_ends_when_lance_would_clean_up(engine: LanceEngine) -> None:
    """A promise for longer could be broken by anyone who opens the dataset."""
    table = engine.create_table("t", SCHEMA)
    with table.snapshot() as snapshot:
        staged = table.write([batch(1)], base=snapshot.base, lease=timedelta(days=30))
    assert staged.until - datetime.now(UTC) <= timedelta(days=7)
    assert table.renew(staged, timedelta(days=30)).until == staged.until


def test_a_failed_write_leaves_no_file(engine: LanceEngine) -> None:
    """Nor do files that were complete before it failed."""
    table = engine.create_table("t", SCHEMA)
    large = pa.record_batch({"id": pa.nulls(1 << 20, pa.int64())})

    def failing() -> Iterator[pa.RecordBatch]:
        yield large
        yield large
        raise RuntimeError("source broke")

    with table.snapshot() as snapshot, pytest.raises(RuntimeError, match="source broke"):
        table.write(failing(), base=snapshot.base)
    assert engine.folder is not None
    assert [*(engine.folder / "t.lance" / "data").glob("*")] == []


@pytest.mark.parametrize(
    ("where", "understood"),
    [
        ("id IN (1, 2) AND NOT text = 'it''s'", True),
        ("id < 3 OR text IS NULL", True),
        ("2 >= id", True),
        ("id = 1.5", False),
        ("text LIKE 't%'", False),
        ("id = 1 OR text LIKE 't%'", False),
        (r"text = 'a\b'", False),
    ],
)
def test_filters_go_to_lance_where_they_mean_the_same(
    engine: LanceEngine, where: str, understood: bool
) -> None:
    """A part that Lance means otherwise keeps the whole from it."""
    with engine.create_table("t", SCHEMA).snapshot() as snapshot:
        assert snapshot.understands(parse_predicate(where, snapshot.schema)) is understood


def test_a_table_of_others_is_read_and_written(engine: LanceEngine) -> None:
    """Made without stable row ids, as LanceDB does."""
    assert engine.folder is not None
    lance.write_dataset(pa.table(batch(1, 2)), str(engine.folder / "t.lance"))
    table = engine.open_table("t")
    with table.snapshot() as snapshot:
        staged = table.write([batch(3)], base=snapshot.base)
        table.commit(Change(snapshot.base, add=[staged], remove=snapshot.row_ids()[:1]))
    with table.snapshot() as snapshot:
        table.commit(Change(snapshot.base, metadata={"k": "v"}))
    table.optimize()
    assert read(table) == [2, 3]
    assert table.capabilities == engine.capabilities - {Capability.STABLE_ROW_IDS}
    with table.snapshot() as snapshot:
        assert dict(snapshot.metadata) == {"k": "v"}
