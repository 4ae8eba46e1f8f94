"""Reading the docstrings of the standard library."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from embow_onnx.stdlib_docs import collect, first_paragraph


@pytest.fixture(scope="module")
def docs() -> dict[str, str]:
    """The docstrings of this Python, by name."""
    return {doc.name: doc.text for doc in collect()}


def write(folder: Path, name: str, source: str) -> None:
    """Write one module, and the folders above it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")


def names_in(folder: Path) -> set[str]:
    """Return the names found in a made-up library that are not from modules written in C."""
    return {doc.name for doc in collect(folder)} - {doc.name for doc in collect(folder / "empty")}


@pytest.mark.parametrize(
    "name",
    [
        "subprocess",
        "subprocess.run",
        "subprocess.Popen.communicate",
        "pathlib.Path.read_text",
        "concurrent.futures.Future.result",
        "asyncio.tasks.sleep",
        "os.getcwd",
        "math.sqrt",
        "builtins.str.split",
        "collections.deque.append",
        "datetime.datetime.now",
    ],
)
def test_what_people_look_for_is_found(docs: dict[str, str], name: str) -> None:
    """Modules, functions, classes and methods are found, written in Python or in C."""
    assert name in docs


def test_there_are_thousands(docs: dict[str, str]) -> None:
    """The library has enough text to make a search worth while."""
    assert len(docs) > 4000


def test_texts_are_one_line_of_bounded_length(docs: dict[str, str]) -> None:
    """Every text is a single non-empty line of at most 400 characters."""
    bad = [n for n, t in docs.items() if not t or t != " ".join(t.split()) or len(t) > 400]
    assert bad == []


def test_private_and_test_modules_are_left_out(docs: dict[str, str]) -> None:
    """No private name, test suite or site-packages folder shows up."""
    parts = {part for name in docs for part in name.split(".")}
    assert not {p for p in parts if p.startswith("_")}
    assert not {n for n in docs if n.split(".")[0] in ("test", "idlelib", "site-packages", "pip")}


def test_reading_imports_no_module_written_in_python(tmp_path: Path) -> None:
    """Sources are parsed: a module that does something when imported does not do it."""
    write(tmp_path, "noisy.py", '"""Say a word."""\nimport sys\nsys.noisy = True\n')
    assert "noisy" in names_in(tmp_path)
    assert not hasattr(sys, "noisy")


def test_definitions_below_if_and_try_are_found(tmp_path: Path) -> None:
    """A function defined only on some systems counts."""
    source = (
        'try:\n    if True:\n        def f():\n            """Do a thing."""\n'
        "except ImportError:\n    pass\n"
    )
    write(tmp_path, "maybe.py", source)
    assert names_in(tmp_path) == {"maybe.f"}


def test_what_a_private_module_exports_is_named_after_its_package(tmp_path: Path) -> None:
    """``pack/_impl.py`` gives ``pack.f``, and only for names in an ``__all__``."""
    write(tmp_path, "pack/__init__.py", "from ._impl import *\n")
    source = '__all__ = ["f"]\ndef f():\n    """Do it."""\ndef g():\n    """Hide it."""\n'
    write(tmp_path, "pack/_impl.py", source)
    assert names_in(tmp_path) == {"pack.f"}


def test_a_file_that_does_not_parse_is_passed_over(tmp_path: Path) -> None:
    """A broken source file does not end the reading."""
    write(tmp_path, "broken.py", "def (:\n")
    write(tmp_path, "fine.py", '"""Say more."""\n')
    assert names_in(tmp_path) == {"fine"}


@pytest.mark.parametrize(
    ("docstring", "text"),
    [
        ("Do a thing.\n\nMore about it.", "Do a thing."),
        ("Do a thing\n    over two lines.", "Do a thing over two lines."),
        ("f(x) -> int\n\nDo a thing.", "Do a thing."),
        ("f(x) --> Do a thing.\n\nIt is done.", "It is done."),
        (">>> f(1)\n2\n\nDo a thing.", "Do a thing."),
        ("word", None),
        ("", None),
        (None, None),
    ],
)
def test_the_first_paragraph_is_prose(docstring: str | None, text: str | None) -> None:
    """Signatures, examples and single words are passed over."""
    assert first_paragraph(docstring) == text


def test_docstrings_come_sorted_by_name(docs: dict[str, str]) -> None:
    """The order does not depend on the file system."""
    assert list(docs) == sorted(docs)
