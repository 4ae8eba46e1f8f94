"""The command ``embow demo``, with the real model on part of the library."""

from __future__ import annotations

import io
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import embow
from embow._cli import main
from embow_onnx import demo
from embow_onnx.stdlib_docs import Docstring, collect

QUESTION = "run a shell command and capture its output"
MODULES = ("csv", "os", "shutil", "subprocess", "webbrowser")


@pytest.fixture(scope="module")
def docs() -> list[Docstring]:
    """The docstrings of a few modules: enough to have wrong answers among them."""
    return [doc for doc in collect() if doc.name.split(".")[0] in MODULES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, docs: Sequence[Docstring]) -> Path:
    """A folder in which the demo has been run once."""
    path = tmp_path_factory.mktemp("demo")
    demo.open_or_build(path, docs)
    return path


def test_the_answer_is_among_the_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The question of the README finds the functions that answer it."""
    assert main(["demo", QUESTION, "--db", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "subprocess.run" in shown or "subprocess.check_output" in shown


def test_a_second_run_embeds_no_document(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stored table is opened again and not written to."""
    version = demo.open_or_build(folder).version
    assert main(["demo", QUESTION, "--db", str(folder)]) == 0
    assert "Embedding" not in capsys.readouterr().err
    assert demo.open_or_build(folder).version == version


def test_without_a_question_three_are_answered(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo shows sample questions where none is given."""
    assert demo.run(Namespace(question=None, db=folder, limit=3, remove=False)) == 0
    shown = capsys.readouterr().out
    assert all(question in shown for question in demo.SAMPLE_QUESTIONS)


def test_limit_says_how_many(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--limit 2`` shows two answers."""
    assert main(["demo", QUESTION, "--db", str(folder), "--limit", "2"]) == 0
    ranks = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [rank for rank in ranks if rank in "123"] == ["1", "2"]


def test_a_table_of_another_python_is_replaced(
    tmp_path: Path, docs: Sequence[Docstring], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade of Python the old table is dropped; a table of the user's is not."""
    with monkeypatch.context() as older:
        older.setattr("platform.python_version", lambda: "3.11.0")
        demo.open_or_build(tmp_path, docs[:2])
    db = embow.connect(tmp_path)
    db.create_table("mine", [{"text": "kept"}])
    monkeypatch.setattr("platform.python_version", lambda: "3.13.0")
    table = demo.open_or_build(tmp_path, docs[:3])
    assert table.count_rows() == 3
    assert db.table_names() == ["mine", "stdlib-3.13.0"]


def test_an_interrupted_build_is_made_again(tmp_path: Path, docs: Sequence[Docstring]) -> None:
    """A table left empty by an interrupt is filled by the next run."""
    demo.open_or_build(tmp_path, docs[:1])
    table = embow.connect(tmp_path).open_table(demo.table_name())
    table.delete("name IS NOT NULL")
    assert demo.open_or_build(tmp_path, docs[:2]).count_rows() == 2


def row(name: str, summary: str, distance: float) -> dict[str, Any]:
    """Return one answer as a search gives it."""
    return {"name": name, "summary": summary, "_distance": distance}


LONG = [row("package.module.Class.a_method_with_a_long_name", "word " * 60, 0.25)]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_table_keeps_to_the_width(width: int) -> None:
    """No line is wider than asked, whatever the names and texts."""
    assert max(map(len, demo.render(LONG, width).splitlines())) <= width


def test_the_table_reads_as_expected() -> None:
    """Rank, name, text over at most two lines, and similarity to two places."""
    rows = [
        row("shutil.rmtree", "Recursively delete a directory tree.", 0.4),
        row("os.rmdir", "Remove a directory.", 0.5),
    ]
    assert demo.render(rows, 60).splitlines() == [
        " #  name           what it does                   similarity",
        "─" * 60,
        " 1  shutil.rmtree  Recursively delete a                 0.60",
        "                   directory tree.",
        " 2  os.rmdir       Remove a directory.                  0.50",
    ]


def test_no_answer_gives_a_table_without_rows() -> None:
    """An empty result is laid out too."""
    assert len(demo.render([], 80).splitlines()) == 2


def test_the_table_is_kept_with_the_users_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, docs: Sequence[Docstring]
) -> None:
    """Without ``--db`` the table lies in the folder this system keeps the data of programs in."""
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr("embow_onnx.stdlib_docs.collect", lambda: docs[:2])
    assert main(["demo", QUESTION]) == 0
    assert [path.name for path in tmp_path.rglob("demo")] == ["demo"]


def test_questions_come_from_standard_input(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``-`` each line is a question; without a line there is nothing to answer."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{QUESTION}\n\nopen a web page\n"))
    assert main(["demo", "-", "--db", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert QUESTION in shown
    assert "webbrowser" in shown
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    assert main(["demo", "-", "--db", str(folder)]) == 1
    assert "one a line" in capsys.readouterr().err


def test_removing_takes_the_demos_tables_only(
    tmp_path: Path, docs: Sequence[Docstring], capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables of the user's in the same folder stay, and a second time there is none."""
    demo.open_or_build(tmp_path, docs[:2])
    embow.connect(tmp_path).create_table("mine", [{"text": "kept"}])
    assert main(["demo", "--remove", "--db", str(tmp_path)]) == 0
    assert demo.table_name() in capsys.readouterr().out
    assert embow.connect(tmp_path).table_names() == ["mine"]
    assert main(["demo", "--remove", "--db", str(tmp_path)]) == 0
    assert "No table" in capsys.readouterr().out


def test_removing_leaves_nothing_in_the_default_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, docs: Sequence[Docstring]
) -> None:
    """The folder goes too, and is not made where it was not."""
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert main(["demo", "--remove"]) == 0
    assert not demo.default_folder().exists()
    demo.open_or_build(demo.default_folder(), docs[:2])
    assert main(["demo", "--remove"]) == 0
    assert not demo.default_folder().exists()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
def test_any_terminal_can_show_the_answers(
    encoding: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the encoding has no line or no such letter, a plain sign of the same width stands."""
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding, "strict"))
    assert main(["demo", f"{QUESTION} \u00e9\u65e5", "--db", str(folder)]) == 0
    shown = written.getvalue().decode(encoding).splitlines()
    rules = [line for line in shown if set(line) in ({"-"}, {"\u2500"})]
    assert len({len(line) for line in rules}) == 1
    assert (encoding in ("ascii", "cp1252")) == (rules[0][0] == "-")
