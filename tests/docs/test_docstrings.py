"""The examples in docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import embow

UNLISTED = {"EmbedJob", "EmbeddedBatch", "Pipeline", "SourceRows", "__version__", "content_hashes"}
"""What engines and tests use."""

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules_with_examples() -> list[str]:
    """Return the names of the core's modules whose source holds a ``>>>``."""
    found = pkgutil.walk_packages(embow.__path__, "embow.")
    names = ["embow", *(module.name for module in found)]
    return [name for name in names if ">>> " in source_of(name)]


def source_of(name: str) -> str:
    """Return a module's source without importing the module."""
    path = Path(embow.__path__[0]).parent.joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_in_a_module_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every docstring example of one module, typed into a fresh program, gives what it shows."""
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    result = doctest.testmod(module, globs={"__name__": "__main__"}, optionflags=FLAGS)
    assert result.attempted
    assert result.failed == 0


@pytest.mark.parametrize("package", ["embow", "embow.pipeline"])
def test_the_reference_lists_what_users_meet(package: str) -> None:
    """A class or function that is public and says so in no page is missing there."""
    pages = Path(__file__).parents[2].glob("docs/reference/*.md")
    page = "".join(each.read_text(encoding="utf-8") for each in pages)
    names = set(importlib.import_module(package).__all__) - UNLISTED
    assert [
        name for name in sorted(names) if not re.search(rf"embow\.(\w+\.)?{name}\n", page)
    ] == []
