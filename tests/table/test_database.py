"""Creating, opening, listing and dropping tables, and opening them in another process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

import embow
from embow.errors import (
    AmbiguousBindingError,
    ConfigurationError,
    SchemaError,
    StorageError,
    TableExistsError,
    TableNotFoundError,
)


class Fruit(embow.Model):
    """A row without vectors."""

    name: str


def test_a_table_is_created_opened_listed_and_dropped(db: embow.Database) -> None:
    """The life of a table, by every way to name it."""
    db.create_table("fruit", schema=Fruit)
    db.create_table("apples", schema=Fruit)
    assert db.table_names() == ["apples", "fruit"]
    assert "fruit" in db
    assert len(db) == 2
    assert db["fruit"].name == "fruit"
    db.drop_table("fruit")
    assert db.table_names() == ["apples"]


def test_names_come_in_pages(db: embow.Database) -> None:
    """page_token and limit walk through the names; without them all come."""
    for number in range(12):
        db.create_table(f"t{number:02}", schema=Fruit)
    assert len(db.table_names()) == 12
    assert db.table_names(page_token="t09", limit=1) == ["t10"]


def test_create_over_an_existing_table(db: embow.Database) -> None:
    """create refuses, overwrite replaces, exist_ok opens."""
    db.create_table("fruit", [{"name": "apple"}], schema=Fruit)
    with pytest.raises(TableExistsError, match="overwrite"):
        db.create_table("fruit", schema=Fruit)
    assert db.create_table("fruit", schema=Fruit, exist_ok=True).count_rows() == 1
    assert db.create_table("fruit", schema=Fruit, mode="overwrite").count_rows() == 0


@pytest.mark.parametrize("attempt", range(5))
def test_workers_that_start_together_share_a_table(db: embow.Database, attempt: int) -> None:
    """With exist_ok every one of them gets the table; with ignore_missing all may drop it."""
    start = threading.Barrier(4)

    def create(worker: int) -> int:
        start.wait()
        return db.create_table("fruit", schema=Fruit, exist_ok=True).count_rows()

    def drop(worker: int) -> None:
        start.wait()
        db.drop_table("fruit", ignore_missing=True)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(create, range(4))) == [0, 0, 0, 0]
        assert list(pool.map(drop, range(4))) == [None] * 4
    assert db.table_names() == []


def test_exist_ok_refuses_another_schema(db: embow.Database) -> None:
    """The first difference is named."""
    db.create_table("fruit", schema=Fruit)
    other = pa.schema([("name", pa.string()), ("weight", pa.float64())])
    with pytest.raises(SchemaError, match="'name' is string not null"):
        db.create_table("fruit", schema=other, exist_ok=True)


def test_a_schema_can_be_read_off_the_data(db: embow.Database) -> None:
    """Columns named like vectors become vector columns."""
    table = db.create_table("t", [{"id": 1, "vector": [1.0, 2.0]}, {"id": 2, "vector": [3, 4]}])
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 2)
    assert table.search([3.0, 4.0]).limit(1).to_list()[0]["id"] == 2


def test_functions_can_be_bound_to_an_arrow_schema(db: embow.Database, letters: Any) -> None:
    """embedding_functions adds the vector column and fills it."""
    config = embow.embeddings.EmbeddingFunctionConfig("vector", "text", letters.create())
    table = db.create_table(
        "t", [{"text": "fig"}], pa.schema([("text", pa.string())]), embedding_functions=[config]
    )
    assert table.search("fig").limit(1).to_list()[0]["_distance"] == 0.0


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "ä", "_embow_x", 5])
def test_bad_names_are_refused(db: embow.Database, name: Any) -> None:
    """Names that could leave the folder or hide are refused."""
    with pytest.raises(ConfigurationError, match="Invalid table name"):
        db.create_table(name, schema=Fruit)


def test_a_missing_table_is_named_with_those_that_are_there(db: embow.Database) -> None:
    """Opening and dropping say what there is."""
    db.create_table("fruit", schema=Fruit)
    for call in (db.open_table, db.drop_table):
        with pytest.raises(TableNotFoundError, match=r"'fuit' was not found.*fruit"):
            call("fuit")
    db.drop_table("fuit", ignore_missing=True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"schema": None}, SchemaError),
        ({"schema": "Fruit"}, ConfigurationError),
        ({"schema": Fruit, "mode": "append"}, ConfigurationError),
        ({"schema": Fruit, "on_eror": "skip", "data": [{"name": "a"}]}, ConfigurationError),
    ],
)
def test_bad_arguments_create_nothing(
    db: embow.Database, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """The table is not there after the error."""
    with pytest.raises(error):
        db.create_table("t", **arguments)
    assert db.table_names() == []


def test_rows_that_fail_create_no_table(db: embow.Database, letters: Any) -> None:
    """Creating with data is one commit."""
    function = letters.create()

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    letters.refuse.add("bad")
    with pytest.raises(embow.errors.EmbeddingError):
        db.create_table("words", [{"text": "good"}, {"text": "bad"}], schema=Words)
    assert db.table_names() == []


def test_two_sources_and_two_vectors_pair_by_order_or_by_name(
    db: embow.Database, letters: Any
) -> None:
    """Order of declaration pairs; source= pairs explicitly; anything else is an error."""
    function = letters.create()

    class ByOrder(embow.Model):
        title: str = function.SourceField()
        body: str = function.SourceField()
        title_vector: embow.Vector = function.VectorField()
        body_vector: embow.Vector = function.VectorField()

    class ByName(embow.Model):
        title: str = function.SourceField()
        body: str = function.SourceField()
        body_vector: embow.Vector = function.VectorField(source="body")
        title_vector: embow.Vector = function.VectorField(source="title")

    class Ambiguous(embow.Model):
        title: str = function.SourceField()
        body: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    for number, model in enumerate((ByOrder, ByName)):
        table = db.create_table(f"t{number}", [{"title": "a", "body": "b"}], schema=model)
        row = table.to_arrow().to_pylist()[0]
        assert (row["title_vector"][0], row["body_vector"][1]) == (1.0, 1.0)
    with pytest.raises(AmbiguousBindingError, match="source="):
        db.create_table("t", schema=Ambiguous)


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path with ~ is the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with embow.connect("~/.embow-test") as db:
        db.create_table("fruit", schema=Fruit)
    assert (tmp_path / ".embow-test").is_dir()


def test_a_place_that_cannot_be_a_database_is_refused(tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        embow.connect(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="no-such-engine"):
        embow.connect("no-such-engine://x")
    with pytest.raises(ConfigurationError, match="folder"):
        embow.connect(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("uri", "options", "says"),
    [
        ("", {}, "folder or a URI"),
        (None, {}, "folder or a URI"),
        (":memory:", {}, "memory://"),
        ("db://x", {"api_key": "sk-1"}, "LanceDB Cloud"),
        ("place", {"api_key": "sk-1"}, "no setting 'api_key'.*Its settings: trust"),
        ("place", {"storage_option": {}}, "Did you mean 'storage_options'"),
    ],
)
def test_what_connect_does_not_serve_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: Any, options: Any, says: str
) -> None:
    """Nothing is made, and no key is repeated."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=says) as raised:
        embow.connect(uri, **options)
    assert "sk-1" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


WRITER = """
    import sys
    import embow
    {letters}
    function = embow.get_registry().get("vowels").create()
    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()
    embow.connect(sys.argv[1]).create_table("words", [{{"text": "aeiou"}}], schema=Words)
"""

READER = """
    import sys
    import embow
    {letters}
    table = embow.connect(sys.argv[1]).open_table("words")
    table.add([{{"text": "ooo"}}])
    print([row["text"] for row in table.search("oo").limit(2).to_list()])
"""

BARE_READER = """
    import sys
    import embow
    table = embow.connect(sys.argv[1]).open_table("words")
    print(table.count_rows(), table.to_arrow()["text"].to_pylist())
    print(table.search([1.0, 0, 0, 0, 0]).limit(1).to_list()[0]["text"])
    table.add([{"text": "given", "vector": [0.0, 0, 0, 0, 1]}])
    print(table.count_rows())
    for call in (lambda: table.search("x").to_list(), lambda: table.add([{"text": "x"}])):
        try:
            call()
        except embow.errors.PluginError as exc:
            print(exc)
"""

LETTERS = """
@embow.register("vowels")
class Vowels(embow.TextEmbeddingFunction):
    def ndims(self):
        return 5
    def generate_embeddings(self, texts):
        return [[float(text.count(v)) for v in "aeiou"] for text in texts]
"""


def _run(code: str, folder: Path, tmp_path: Path) -> str:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(code).format(letters=LETTERS)
        if "{letters}" in code
        else textwrap.dedent(code)
    )
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_process_embeds_by_itself(tmp_path: Path) -> None:
    """A process that has the function, but never saw the schema class, adds and searches."""
    _run(WRITER, tmp_path / "db", tmp_path)
    assert _run(READER, tmp_path / "db", tmp_path).strip() == "['ooo', 'aeiou']"


def test_without_the_provider_everything_but_embedding_works(tmp_path: Path) -> None:
    """Open, count, read, search by vector and add with vectors work; the rest says what to do."""
    _run(WRITER, tmp_path / "db", tmp_path)
    lines = _run(BARE_READER, tmp_path / "db", tmp_path).splitlines()
    assert lines[:3] == ["1 ['aeiou']", "aeiou", "2"]
    assert len(lines) == 5
    assert all("vowels" in line and "import" in line for line in lines[3:])


@pytest.mark.parametrize(
    ("source", "vector", "says"),
    [
        (pa.int64(), pa.list_(pa.float32(), 26), "'text' is int64.*embeds text"),
        (pa.date32(), pa.list_(pa.float32(), 26), "'text' is date32"),
        (pa.string(), pa.list_(pa.int8(), 26), "whole numbers"),
    ],
)
def test_columns_a_function_cannot_use_are_refused_at_once(
    db: embow.Database, letters: Any, source: pa.DataType, vector: pa.DataType, says: str
) -> None:
    """A number as source, or a vector of whole numbers, is found before the first row."""
    config = embow.embeddings.EmbeddingFunctionConfig("vector", "text", letters.create())
    schema = pa.schema([("text", source), ("vector", vector)])
    with pytest.raises(SchemaError, match=says):
        db.create_table("t", schema=schema, embedding_functions=[config])
    assert db.table_names() == []


def test_a_dropped_table_can_be_shown(db: embow.Database) -> None:
    """repr() in a debugger raises nothing."""
    table = db.create_table("fruit", [{"name": "apple"}], schema=Fruit)
    shown = "Table('fruit', version=1, rows=1, columns=["
    assert repr(table).startswith(f"{shown}name")
    db.drop_table("fruit")
    assert repr(table) == "Table('fruit', dropped)"
    with pytest.raises(TableNotFoundError):
        table.count_rows()


@pytest.mark.parametrize("name", [None, 5, b"fruit"])
def test_a_table_is_opened_by_its_name(db: embow.Database, name: Any) -> None:
    """Anything else is named as the mistake it is."""
    with pytest.raises(ConfigurationError, match="opened by its name"):
        db.open_table(name)


@pytest.fixture
def quarantined(words: embow.Table, letters: Any) -> embow.Table:
    """A table with one row that could not be embedded."""
    letters.refuse.add("bad")
    words.add([{"text": "good"}, {"text": "bad"}], on_error="quarantine")
    return words


def test_failed_rows_follow_a_renamed_table(
    db: embow.Database, quarantined: embow.Table, letters: Any
) -> None:
    """They belong to the table, whatever it is called."""
    db.rename_table("words", "renamed")
    table = db.open_table("renamed")
    assert db.table_names() == ["renamed"]
    assert table.failed_rows()["text"].to_pylist() == ["bad"]
    letters.refuse.clear()
    table.retry_failed()
    assert sorted(table.to_arrow()["text"].to_pylist()) == ["bad", "good"]


def test_a_new_table_under_an_old_name_has_no_failed_rows(
    db: embow.Database, quarantined: embow.Table
) -> None:
    """They are no table of the user's, go with theirs, and nothing of them is left."""
    assert db.table_names() == ["words"]
    schema = quarantined.schema
    db.drop_table("words")
    assert db._context.engine.table_names() == []
    assert db.create_table("words", schema=schema).failed_rows().num_rows == 0


def test_all_tables_can_be_dropped(db: embow.Database, quarantined: embow.Table) -> None:
    """Hidden ones too."""
    db.create_table("fruit", schema=Fruit)
    db.drop_all_tables()
    assert db._context.engine.table_names() == []


def test_a_new_name_must_be_free_and_the_old_one_there(db: embow.Database) -> None:
    """Nothing is renamed otherwise."""
    db.create_table("fruit", schema=Fruit)
    db.create_table("apples", schema=Fruit)
    with pytest.raises(TableExistsError, match="apples"):
        db.rename_table("fruit", "apples")
    with pytest.raises(TableNotFoundError, match="fuit"):
        db.rename_table("fuit", "pears")
    with pytest.raises(ConfigurationError, match="Invalid table name"):
        db.rename_table(cur_name="fruit", new_name="a b")
    assert db.table_names() == ["apples", "fruit"]


def test_a_database_without_a_folder_uses_the_cache_of_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for all such databases, unless EMBOW_CACHE says where; others keep their own."""
    asked: list[Path] = []

    def of_user() -> Path:
        asked.append(tmp_path / "user.sqlite")
        return asked[-1]

    monkeypatch.setattr("embow._table.database.default_cache_path", of_user)
    embow.connect(tmp_path / "db").close()
    assert asked == []
    embow.connect("memory://").close()
    assert len(asked) == 1
    monkeypatch.setenv("EMBOW_CACHE", str(tmp_path / "elsewhere.sqlite"))
    embow.connect("memory://").close()
    assert len(asked) == 1


@embow.register("linked")
class Linked(embow.TextEmbeddingFunction):
    """A server's model, whose vectors are kept in the cache."""

    remote: ClassVar[bool] = True

    def ndims(self) -> int:
        """Return 1."""
        return 1

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return the same for each."""
        return [[1.0]] * len(texts)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_cache_that_is_a_link_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leads out of a folder that may be a stranger's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of the user"))
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "cache.sqlite").symlink_to(tmp_path / "elsewhere")
    function = Linked.create()

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    with embow.connect(tmp_path / "db") as db:
        db.create_table("words", schema=Words).add([{"text": "a"}])
    assert not (tmp_path / "elsewhere").exists()
