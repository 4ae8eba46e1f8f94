"""Files named by the rows of a stranger's table are not read when those rows are embedded again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

import embow
from embow.embeddings import EmbeddingFunction, register
from embow.errors import EmbeddingError
from embow.media import MediaField, MediaSettings, map_inputs, read_bytes


class Reader(EmbeddingFunction):
    """Embeds what a file holds."""

    read: ClassVar[list[str]] = []

    name: str = "one"
    media: MediaField = MediaSettings()

    def ndims(self) -> int:
        """Return 4."""
        return 4

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Read every input in threads and count its bytes."""
        contents = map_inputs(lambda value: read_bytes(value, self.media), inputs, 4)
        Reader.read.extend(inputs)
        return [[len(content), content[0], 1, 1] for content in contents]

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Do the same."""
        return self.compute_source_embeddings(query)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., embow.Table]:
    """Open a table of two rows that name files, as its maker or as somebody else."""
    register("reader")(Reader)
    function = Reader.create()

    class Rows(embow.Model):
        path: str = function.SourceField()
        other: str | None = None
        vector: embow.Vector = function.VectorField()

    secret = tmp_path / "secret"
    secret.write_bytes(b"of the user")
    monkeypatch.setenv("EMBOW_CONFIG_DIR", str(tmp_path / "maker"))
    with embow.connect(tmp_path / "db") as db:
        made = db.create_table("rows", schema=Rows)
        made.add([{"path": str(secret), "other": str(secret)}] * 2)
        made.add([{"path": str(tmp_path / "gone")}], on_error="quarantine")
        made.add([{"path": str(tmp_path / "gone")}], on_error="null")
    (tmp_path / "gone").write_bytes(b"there again")
    Reader.read.clear()

    def opened(owner: str = "another", **options: Any) -> embow.Table:
        monkeypatch.setenv("EMBOW_CONFIG_DIR", str(tmp_path / owner))
        return embow.connect(tmp_path / "db", **options).open_table("rows")

    return opened


WAYS: dict[str, Callable[[embow.Table], Any]] = {
    "repair": lambda table: table.repair(),
    "migrate": lambda table: table.migrate("vector", Reader.create(name="two")),
    "add_embedding": lambda table: table.add_embedding("more", "other", Reader.create()),
    "update": lambda table: table.update(values_sql={"path": "other"}, where="other IS NOT NULL"),
    "verify": lambda table: table.verify(remote=True),
    "rebind": lambda table: table.rebind("vector", Reader.create()),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_strangers_rows_name_no_files_to_be_read(table: Any, way: str) -> None:
    """The message says what was refused and how to allow it."""
    opened = table()
    if way == "update":
        opened.update(values={"other": "elsewhere"}, where="other IS NOT NULL")
    with pytest.raises(EmbeddingError, match=r"trust=True.*EMBOW_MEDIA_ROOT"):
        WAYS[way](opened)
    assert Reader.read == []


def test_a_strangers_failed_rows_stay_in_quarantine(table: Any) -> None:
    """Trying them again reads nothing; why is told with the row."""
    opened = table()
    report = opened.retry_failed()
    assert "which another user made" in report.failed[0].message
    assert (Reader.read, opened.failed_rows().num_rows) == ([], 1)


def test_null_leaves_a_strangers_row_without_vector(table: Any) -> None:
    """``on_error`` applies to a refused file as to any row that cannot be embedded."""
    report = table().repair(on_error="null")
    assert len(report.failed) == 1
    assert Reader.read == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("allowed", ["own", "trust", "root"])
def test_what_is_allowed_is_read(
    table: Any, way: str, allowed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One's own table needs no word; a stranger's is trusted, or confined to a folder."""
    if allowed == "root":
        monkeypatch.setenv("EMBOW_MEDIA_ROOT", str(tmp_path))
    opened = table("maker" if allowed == "own" else "another", trust=allowed == "trust")
    if way == "update":
        opened.update(values={"other": str(tmp_path / "gone")}, where="other IS NOT NULL")
    WAYS[way](opened)
    assert Reader.read


def test_what_the_program_hands_over_is_read(table: Any, tmp_path: Path) -> None:
    """Paths that the user adds or sets are the user's own."""
    opened = table()
    opened.add([{"path": str(tmp_path / "secret")}])
    opened.update(values={"path": str(tmp_path / "gone")}, where="other IS NOT NULL")
    assert sorted({Path(path).name for path in Reader.read}) == ["gone", "secret"]
    assert len(opened.failed_rows()) == 1
