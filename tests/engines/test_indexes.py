"""Indexes are derived data: built beside readers and writers, and right for every version."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embow.engines._local import LocalEngine
from embow.engines._local.sealed import COLUMNS, seal
from embow.engines._memory import MemoryEngine
from embow.engines.contract import ROW_ID, Change, Engine, EngineOptions, EngineTable, ScanQuery
from embow.engines.indexes import Covering
from embow.errors import ConfigurationError, PluginError, StorageError, UnknownColumnError
from flat import Flat, FlatLibrary, options

SCHEMA = pa.schema({"id": "int64", "vector": pa.list_(pa.float32(), 4)})
SMALL = {"block_rows": 4, "small_rows": 3, "fragment_bytes": 1}
Open = Callable[[], Engine]


@pytest.fixture(params=["local", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Return an empty database of each engine."""
    engine: Engine
    if request.param == "local":
        engine = LocalEngine(str(tmp_path / "db"), options(**SMALL))
    else:
        engine = MemoryEngine("memory://", options())
    yield engine
    engine.close()


@pytest.fixture
def table(opened: Engine) -> EngineTable:
    """Return a table of twenty rows."""
    return opened.create_table("t", SCHEMA, [rows(0, 20)])


def rows(first: int, end: int) -> pa.RecordBatch:
    """Return rows whose vector says which they are; every seventh has none."""
    numbers = range(first, end)
    vectors = [None if n % 7 == 6 else [float(n), 1, 2, 3] for n in numbers]
    return pa.RecordBatch.from_pydict({"id": list(numbers), "vector": vectors}, SCHEMA)


def add(table: EngineTable, first: int, end: int) -> None:
    """Add rows in one commit."""
    with table.snapshot() as snapshot:
        staged = table.write([rows(first, end)], base=snapshot.base)
    table.commit(Change(staged.base, add=[staged]))


def remove(table: EngineTable, *numbers: int) -> None:
    """Remove rows by their number."""
    with table.snapshot() as snapshot:
        found = snapshot.scan(ScanQuery(columns=["id"], with_row_id=True)).read_all()
        ids = np.asarray(found[ROW_ID])[np.isin(np.asarray(found["id"]), numbers)]
        table.commit(Change(snapshot.base, remove=ids))


def index_of(table: EngineTable, version: int | None = None) -> Covering[Any]:
    """Return the one index of a version."""
    with table.snapshot(version) as snapshot:
        (index,) = snapshot.indexes()
    return index


def told(table: EngineTable, version: int | None = None) -> dict[int, list[float]]:
    """Return by row id the vectors that an index and what it leaves make up; each row once."""
    index = index_of(table, version)
    found: dict[int, list[float]] = {}
    for part in index.parts:
        live = np.ones(len(part.row_ids), bool) if part.live is None else part.live
        for at in np.flatnonzero(live).tolist():
            assert int(part.row_ids[at]) not in found
            found[int(part.row_ids[at])] = part.piece[at].tolist()
    with table.snapshot(version) as snapshot:
        left = snapshot.scan(ScanQuery(row_ids=index.rest, with_row_id=True)).read_all()
    for row_id, vector in zip(left[ROW_ID].to_pylist(), left["vector"].to_pylist(), strict=True):
        assert row_id not in found
        if vector is not None:
            found[row_id] = vector
    return found


def truth(table: EngineTable, version: int | None = None) -> dict[int, list[float]]:
    """Return by row id the vectors there are."""
    with table.snapshot(version) as snapshot:
        found = snapshot.scan(ScanQuery(with_row_id=True)).read_all()
    pairs = zip(found[ROW_ID].to_pylist(), found["vector"].to_pylist(), strict=True)
    return {row_id: vector for row_id, vector in pairs if vector is not None}


def test_an_index_covers_the_rows_there_are(table: EngineTable) -> None:
    """What comes later is named as not covered, until the table is optimized."""
    table.create_index("vector", Flat(), name="i")
    assert (len(index_of(table).rest), told(table)) == (0, truth(table))
    add(table, 20, 30)
    assert (len(index_of(table).rest), told(table)) == (10, truth(table))
    assert table.optimize().pieces_built == 1
    assert (len(index_of(table).rest), told(table)) == (0, truth(table))


def test_deleted_rows_are_masked_in_each_version(table: EngineTable) -> None:
    """A piece built before and one built after a deletion are right for both versions."""
    table.create_index("vector", Flat(), name="before")
    remove(table, 3, 4, 19)
    table.create_index("vector", Flat(), name="before", replace=True)
    assert (3 in told(table), 3 in told(table, 1)) == (False, True)
    assert [told(table, version) for version in (1, 2)] == [truth(table, v) for v in (1, 2)]


def test_every_kept_version_has_its_rows_after_optimize(table: EngineTable) -> None:
    """Also rows that were deleted before the index saw them."""
    remove(table, 1, 2)
    table.create_index("vector", Flat(), name="i")
    add(table, 20, 60)
    remove(table, *range(25, 50))
    table.optimize()
    table.restore(1)
    for version in range(1, 6):
        assert told(table, version) == truth(table, version)


def test_dead_rows_leave_with_the_versions(table: EngineTable) -> None:
    """A piece of which a third is needed by nobody is built anew."""
    table.create_index("vector", Flat(), name="i")
    remove(table, *range(10))
    table.optimize(keep=timedelta(0))
    assert [len(part.row_ids) for part in index_of(table).parts] == [len(truth(table))]
    assert told(table) == truth(table)


def test_pieces_are_joined_like_a_ladder(table: EngineTable) -> None:
    """However rows trickle in there are few pieces."""
    table.create_index("vector", Flat(), name="i")
    for start in range(20, 120, 5):
        add(table, start, start + 5)
        table.optimize()
    assert len(index_of(table).parts) <= 4
    assert told(table) == truth(table)


def test_few_rows_are_left_to_be_read(table: EngineTable) -> None:
    """Where a library says that fewer are not worth a piece."""
    table.create_index("vector", Flat(least=30), name="i")
    assert index_of(table).parts == ()
    add(table, 20, 40)
    table.optimize()
    assert len(index_of(table).rest) == 0


def test_an_overwrite_leaves_nothing_behind(table: EngineTable) -> None:
    """The pieces of rows that are gone go; the definition stays."""
    table.create_index("vector", Flat(), name="i")
    with table.snapshot() as snapshot:
        staged = table.write([rows(50, 70)], base=snapshot.base)
        table.overwrite(SCHEMA, [staged], base=snapshot.base)
    assert told(table) == truth(table)
    assert told(table, 1) == truth(table, 1)
    table.optimize(keep=timedelta(0))
    (part,) = index_of(table).parts
    assert part.row_ids.min() == 20


def test_indexes_are_listed_and_dropped(table: EngineTable) -> None:
    """By name; one that is not there is refused by a sentence with those that are."""
    table.create_index("vector", Flat(), name="a")
    table.create_index("vector", Flat("cosine"), name="b")
    add(table, 20, 25)
    assert [(each.definition.name, each.rows, each.rest) for each in table.indexes()] == [
        ("a", 18, 5),
        ("b", 18, 5),
    ]
    with pytest.raises(ConfigurationError, match="Give replace=True"):
        table.create_index("vector", Flat(), name="a")
    table.drop_index("a")
    with pytest.raises(ConfigurationError, match=r"no index 'a'.*Indexes: b"):
        table.drop_index("a")
    assert [each.definition.name for each in table.indexes()] == ["b"]


def test_what_cannot_be_indexed_is_refused_at_once(table: EngineTable) -> None:
    """No definition is left of it."""
    with pytest.raises(UnknownColumnError, match="vectors"):
        table.create_index("vectors", Flat(), name="i")
    with pytest.raises(ConfigurationError, match="not int64"):
        table.create_index("id", Flat(), name="i")
    with pytest.raises(PluginError, match="unknown"):
        table.create_index("vector", _Unknown(), name="i")
    assert table.indexes() == []


class _Unknown(Flat):
    kind = "unknown"


def test_an_interrupted_build_leaves_nothing(table: EngineTable) -> None:
    """Ctrl-C while an index is built takes its definition back."""

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.create_index("vector", Flat(), name="i", step=interrupt)
    assert table.indexes() == []


def test_an_index_follows_its_column_to_another(table: EngineTable) -> None:
    """Earlier versions have none, the new column is indexed by optimize."""
    table.create_index("vector", Flat(), name="i")
    with table.snapshot() as snapshot:
        found = snapshot.scan(ScanQuery(columns=["vector"], with_row_id=True)).read_all()
        values = found.rename_columns(["other", ROW_ID]).combine_chunks().to_batches()
        staged = table.write_column(pa.field("other", SCHEMA.types[1]), values, base=snapshot.base)
        table.commit(Change(snapshot.base, add=[staged]))
    table.move_index("i", "other")
    with table.snapshot() as snapshot:
        table.drop_columns(["vector"], base=snapshot.base)
    assert len(index_of(table).rest) == 20
    table.optimize()
    assert (index_of(table).definition.column, len(index_of(table).rest)) == ("other", 0)
    with table.snapshot(1) as snapshot:
        assert list(snapshot.indexes()) == []


# -- what only files can have --------------------------------------------------------------------


def stored(tmp_path: Path) -> tuple[LocalEngine, EngineTable]:
    """Return a database in a folder and its table of twenty rows."""
    engine = LocalEngine(str(tmp_path / "db"), options(**SMALL))
    return engine, engine.create_table("t", SCHEMA, [rows(0, 20)])


def pieces(tmp_path: Path) -> list[Path]:
    """Return the files of indexes."""
    return sorted(tmp_path.glob("db/data/*/*.index"))


def test_another_process_reads_what_was_built(tmp_path: Path) -> None:
    """Nothing is built a second time; ids with gaps come back as they were."""
    engine, table = stored(tmp_path)
    remove(table, 2, 9)
    table.optimize(keep=timedelta(0))
    table.create_index("vector", Flat(), name="i")
    expected = told(table)
    engine.close()
    other = LocalEngine(str(tmp_path / "db"), options(**SMALL))
    reopened = other.open_table("t")
    assert (told(reopened), len(index_of(reopened).rest)) == (expected, 0)
    assert reopened.check().ok
    other.close()


def test_files_go_with_the_index_and_with_the_table(tmp_path: Path) -> None:
    """Also those that were exchanged for larger ones."""
    engine, table = stored(tmp_path)
    table.create_index("vector", Flat(), name="i")
    add(table, 20, 40)
    table.optimize()
    assert len(pieces(tmp_path)) == 1
    table.drop_index("i")
    assert pieces(tmp_path) == []
    table.create_index("vector", Flat(), name="i")
    engine.drop_table("t")
    assert pieces(tmp_path) == []
    engine.close()


def test_the_pieces_of_a_column_go_with_its_last_version(tmp_path: Path) -> None:
    """The definition stays, and says that its column is not there."""
    engine, table = stored(tmp_path)
    table.create_index("vector", Flat(), name="i")
    with table.snapshot() as snapshot:
        table.drop_columns(["vector"], base=snapshot.base)
    table.optimize()
    assert len(pieces(tmp_path)) == 1
    table.optimize(keep=timedelta(0))
    assert pieces(tmp_path) == []
    assert "not there" in table.indexes()[0].trouble
    table.drop_index("i")
    engine.close()


@pytest.mark.parametrize("settings", ['{"metric": "l2"}', "[1]", "{"])
@pytest.mark.filterwarnings("ignore:.*its settings are no good:UserWarning")
def test_settings_of_a_stranger_do_no_harm(tmp_path: Path, settings: str) -> None:
    """They are refused as damage, or the index is not used."""
    engine, table = stored(tmp_path)
    table.create_index("vector", Flat(), name="i")
    engine.close()
    catalog = sqlite3.connect(tmp_path / "db" / "catalog.sqlite")
    catalog.create_function("seal", -1, seal, deterministic=True)
    catalog.execute("UPDATE indexes SET settings = ?", (settings,))
    catalog.execute(f"UPDATE indexes SET seal = seal({COLUMNS['indexes']})")
    catalog.commit()
    catalog.close()
    engine = LocalEngine(str(tmp_path / "db"), options(**SMALL))
    if settings in ("[1]", "{"):
        with pytest.raises(StorageError, match="settings of an index"):
            index_of(engine.open_table("t"))
    else:
        assert len(index_of(engine.open_table("t")).rest) == 20
    engine.close()


@pytest.mark.filterwarnings("ignore:.*damaged:UserWarning", "ignore:.*missing:UserWarning")
def test_a_damaged_piece_costs_no_answer(tmp_path: Path) -> None:
    """It is told by ``check``, its rows are read, and ``optimize`` builds it anew."""
    engine, table = stored(tmp_path)
    table.create_index("vector", Flat(), name="i")
    engine.close()
    (piece,) = pieces(tmp_path)
    data = bytearray(piece.read_bytes())
    data[40] ^= 1
    piece.write_bytes(data)
    engine = LocalEngine(str(tmp_path / "db"), options(**SMALL))
    table = engine.open_table("t")
    assert "damaged" in index_of(table).trouble
    assert told(table) == truth(table)
    assert any(piece.name in damage for damage in table.check().damages)
    table.optimize()
    assert (len(index_of(table).rest), table.check().ok) == (0, True)
    engine.close()


def test_without_its_library_every_row_is_read(tmp_path: Path) -> None:
    """It is said once a process, and again whoever asks."""
    engine, table = stored(tmp_path)
    table.create_index("vector", Flat(), name="unread")
    engine.close()
    engine = LocalEngine(str(tmp_path / "db"), EngineOptions(SMALL))
    table = engine.open_table("t")
    with pytest.warns(UserWarning, match="'unread' cannot be used"):
        index_of(table)
    assert len(index_of(table).rest) == 20  # A second warning would be an error.
    add(table, 20, 40)
    assert len(index_of(table).rest) == 40
    assert "cannot be used" in table.indexes()[0].trouble
    table.optimize()
    engine.close()


def test_pieces_of_another_release_are_built_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are never handed to this one's."""
    engine, table = stored(tmp_path)
    table.create_index("vector", Flat(), name="i")
    monkeypatch.setattr(FlatLibrary, "fingerprint", lambda self: "flat of tomorrow")
    add(table, 20, 21)
    with pytest.warns(UserWarning, match="Another release"):
        assert len(index_of(table).rest) == 21
    table.optimize()
    assert (len(index_of(table).rest), told(table)) == (0, truth(table))
    engine.close()


def test_format_3_opens(tmp_path: Path) -> None:
    """It had no indexes; a row that was damaged stays one that is."""
    engine, _ = stored(tmp_path)
    engine.create_table("damaged", SCHEMA, [rows(0, 3)])
    engine.close()
    catalog = sqlite3.connect(tmp_path / "db" / "catalog.sqlite")
    catalog.create_function("seal", -1, seal, deterministic=True)
    names = COLUMNS["tables"].removesuffix(", indexed")
    catalog.executescript(
        f"DROP TABLE indexes; DROP TABLE pieces; UPDATE tables SET seal = seal({names});"
        "UPDATE tables SET rows = 4 WHERE name = 'damaged';"
        "ALTER TABLE tables DROP COLUMN indexed; PRAGMA user_version = 3;"
    )
    catalog.close()
    engine = LocalEngine(str(tmp_path / "db"), options(**SMALL))
    with pytest.raises(StorageError, match="not as it was written"):
        engine.open_table("damaged")
    assert len(truth(engine.open_table("t"))) == 18
    engine.close()


def test_two_that_build_at_once_leave_one_piece(tmp_path: Path) -> None:
    """Who names second throws its own away."""
    engine, table = stored(tmp_path)
    other = LocalEngine(str(tmp_path / "db"), options(**SMALL))
    begun: list[int] = []

    def meanwhile(count: int) -> None:
        if not begun:
            begun.append(count)
            other.open_table("t").optimize()

    table.create_index("vector", Flat(), name="i", step=meanwhile)
    assert (len(pieces(tmp_path)), told(table)) == (1, truth(table))
    assert begun
    engine.close()
    other.close()
