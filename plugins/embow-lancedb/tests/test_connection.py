"""Databases: what ``connect`` takes, and the calls of a connection."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import embow_lancedb as lancedb
from embow.errors import ConfigurationError, UnsupportedOperationError


def test_connect_takes_what_programs_pass_for_a_folder(tmp_path: Path) -> None:
    """Settings of LanceDB's service that are set or ``None`` change nothing for a folder."""
    db = lancedb.connect(
        tmp_path,
        api_key=None,
        region="us-east-1",
        host_override=None,
        read_consistency_interval=timedelta(0),
        client_config=None,
        storage_options={"timeout": "60s"},
        session=lancedb.Session(index_cache_size_bytes=1),
    )
    assert isinstance(db, lancedb.DBConnection)
    assert isinstance(db, lancedb.LanceDBConnection)
    assert not isinstance(db, lancedb.RemoteDBConnection)
    assert (db.uri, db.read_consistency_interval) == (str(tmp_path), timedelta(0))


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    """A misspelt keyword is named, with the nearest there is."""
    with pytest.raises(ValueError, match=r"regionn.*Did you mean 'region'"):
        lancedb.connect(tmp_path, regionn="x")


def test_the_address_of_the_service_is_refused() -> None:
    """``db://`` says that it is a service's, and what to use."""
    with pytest.raises(ConfigurationError, match=r"LanceDB Cloud.*connect\('./mydb'\)"):
        lancedb.connect("db://mine", api_key="k")
    with pytest.raises(ConfigurationError, match="LanceDB Cloud"):
        lancedb.RemoteDBConnection("db://mine", "k", "us-east-1")


def test_connect_needs_an_address() -> None:
    """Without one the error shows how it is called."""
    with pytest.raises(ValueError, match="uri is required"):
        lancedb.connect()


def test_each_database_in_memory_is_another() -> None:
    """``memory://`` is empty at each connect."""
    first = lancedb.connect("memory://")
    first.create_table("t", [{"a": 1}])
    assert "t" not in lancedb.connect("memory://")


def test_a_database_is_like_a_mapping(db: lancedb.DBConnection) -> None:
    """``in``, ``len``, iteration and ``[]`` speak of tables."""
    db.create_table("b", [{"a": 1}])
    db.create_table("a", [{"a": 1}])
    assert ("a" in db, "c" in db, len(db), list(db), db["a"].name) == (
        True,
        False,
        2,
        ["a", "b"],
        "a",
    )


def test_table_names_is_deprecated_and_lists_all(db: lancedb.DBConnection) -> None:
    """It warns, as LanceDB's does, and has every name, not ten."""
    for number in range(12):
        db.create_table(f"t{number:02}", [{"a": 1}])
    with pytest.warns(DeprecationWarning, match="table_names"):
        assert len(db.table_names()) == 12
    with pytest.warns(DeprecationWarning, match="table_names"):
        assert db.table_names(page_token="t04", limit=2) == ["t05", "t06"]


def test_list_tables_comes_in_pages(db: lancedb.DBConnection) -> None:
    """A token goes on after the last name; after the last page there is none."""
    for name in "abc":
        db.create_table(name, [{"a": 1}])
    page = db.list_tables(limit=2)
    assert (page.tables, page.page_token) == (["a", "b"], "b")
    rest = db.list_tables(page_token=page.page_token, limit=2)
    assert (rest.tables, rest.page_token) == (["c"], None)


def test_a_missing_table_is_a_file_that_is_not_found(db: lancedb.DBConnection) -> None:
    """Programs of before catch ``FileNotFoundError``, those of today ``ValueError``."""
    with pytest.raises(FileNotFoundError, match="'nope' was not found"):
        db.open_table("nope")
    with pytest.raises(ValueError, match="'nope' was not found"):
        db["nope"]
    with pytest.raises(FileNotFoundError):
        db.drop_table("nope")
    db.drop_table("nope", ignore_missing=True)


def test_tables_are_created_opened_and_dropped(db: lancedb.DBConnection) -> None:
    """With settings of Lance files, which change nothing."""
    table = db.create_table(
        "t",
        [{"a": 1}],
        storage_options={"x": "y"},
        data_storage_version="stable",
        enable_v2_manifest_paths=True,
        namespace_path=[],
    )
    assert isinstance(table, lancedb.Table)
    with pytest.raises(ValueError, match="already exists"):
        db.create_table("t", [{"a": 1}])
    assert db.create_table("t", [{"a": 1}, {"a": 2}], exist_ok=True).count_rows() == 1
    assert db.create_table("t", [{"a": 1}, {"a": 2}], mode="overwrite").count_rows() == 2
    with pytest.raises(ValueError, match="mode must be either 'create' or 'overwrite'"):
        db.create_table("t", [{"a": 1}], mode="replace")
    with pytest.warns(DeprecationWarning, match="index_cache_size"):
        assert db.open_table("t", index_cache_size=5, storage_options={}).count_rows() == 2
    db.rename_table("t", "u")
    assert list(db) == ["u"]
    with pytest.warns(DeprecationWarning, match="drop_database"):
        db.drop_database()
    assert len(db) == 0


def test_a_version_is_opened_by_number_or_tag(db: lancedb.DBConnection) -> None:
    """Branches there are none, but for the main line."""
    table = db.create_table("t", [{"a": 1}])
    table.add([{"a": 2}])
    table.tags.create("first", 1)
    assert len(db.open_table("t", version=1)) == len(db.open_table("t", version="first")) == 1
    assert len(db.open_table("t", branch="main")) == 2
    with pytest.raises(UnsupportedOperationError, match="no branches"):
        db.open_table("t", branch="other")


def test_there_are_no_namespaces(db: lancedb.DBConnection) -> None:
    """The root is taken; anything below says what to use."""
    db.create_table("t", [{"a": 1}], namespace_path=[])
    for call in (db.list_tables, db.drop_all_tables):
        with pytest.raises(UnsupportedOperationError, match="no namespaces"):
            call(namespace_path=["team"])
    with pytest.raises(NotImplementedError, match="one folder for each"):
        db.create_namespace(["team"])


@pytest.mark.parametrize(
    "call", ["clone_table", "create_function", "create_secret", "create_view", "execute_query"]
)
def test_what_only_the_service_has_says_what_to_use(db: lancedb.DBConnection, call: str) -> None:
    """The error begins with the name of the call."""
    with pytest.raises(NotImplementedError, match=f"^{call}: "):
        getattr(db, call)("x")


def test_a_connection_can_be_written_down(tmp_path: Path) -> None:
    """``serialize`` gives what ``deserialize_conn`` opens in another process."""
    db = lancedb.connect(tmp_path)
    db.create_table("t", [{"a": 1}])
    assert list(lancedb.deserialize_conn(db.serialize())) == ["t"]


def test_tables_are_made_by_their_class_too(db: lancedb.DBConnection) -> None:
    """``LanceTable.create``, ``open`` and the constructor are calls of the database."""
    made = lancedb.LanceTable.create(db, "t", [{"a": 1}])
    assert made.name == lancedb.LanceTable.open(db, "t").name == lancedb.LanceTable(db, "t").name
    assert (made.id, made.namespace) == ("t", [])
    assert made.uri.endswith("t")
