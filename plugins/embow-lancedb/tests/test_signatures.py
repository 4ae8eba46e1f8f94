"""Every call takes what LanceDB 0.40's takes: names, order and defaults.

``signatures.txt`` lists them, ``...`` for a default that is no plain value. Where LanceDB is
installed, the list itself is compared with it: ``pytest -k list_is_true``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LINES = (Path(__file__).parent / "signatures.txt").read_text(encoding="utf-8").splitlines()

DIFFERENT = {
    "limit": "table_names gives all names, not ten",
    "prefilter": "None stands for true",
}
"""Parameters whose default is another one here, and why."""

WITHOUT = {"document_granularity": "rows are what is scored"}
"""Parameters that queries do not take, and why."""


def found(package: str, line: str) -> Any:
    """Return what a line names, below a package; an attribute of a class as it stands there."""
    place, _, path = line.partition("(")[0].partition(":")
    owner: Any = importlib.import_module(package if place == "." else f"{package}.{place}")
    *outer, last = path.split(".")
    for name in outer:
        owner = getattr(owner, name)
    return inspect.getattr_static(owner, last, None) or getattr(owner, last)


def parameters(of: Any) -> list[inspect.Parameter]:
    """Return the parameters of a callable, without the object or class itself."""
    of = of.__func__ if isinstance(of, (classmethod, staticmethod)) else of
    given = list(inspect.signature(of).parameters.values())
    return [each for each in given if each.name not in ("self", "cls")]


def written(line: str) -> ast.arguments:
    """Return the parameters that a line lists."""
    text = line[line.index("(") :].replace("=...", "=Ellipsis")
    module = ast.parse(f"def call{text}: pass")
    function = module.body[0]
    assert isinstance(function, ast.FunctionDef)
    return function.args


def defaults(arguments: ast.arguments) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield each parameter with its default."""
    plain = arguments.args
    missing: list[ast.expr | None] = [None] * (len(plain) - len(arguments.defaults))
    yield from zip([a.arg for a in plain], [*missing, *arguments.defaults], strict=True)
    yield from zip([a.arg for a in arguments.kwonlyargs], arguments.kw_defaults, strict=True)


CALLS = [line for line in LINES if "(" in line]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.partition("(")[0])
def test_a_name_is_there(line: str) -> None:
    """In the same module and class."""
    assert found("embow_lancedb", line) is not None


@pytest.mark.parametrize("line", CALLS, ids=lambda line: line.partition("(")[0])
def test_a_call_takes_the_same(line: str) -> None:
    """The same keywords, in the same order where they go by position, with the same defaults."""
    ours = parameters(found("embow_lancedb", line))
    kinds = {each.kind for each in ours}
    open_to_all = inspect.Parameter.VAR_KEYWORD in kinds
    theirs = written(line)
    known = {each.name: each for each in ours}
    for name, default in defaults(theirs):
        assert name in known or open_to_all or name in WITHOUT, f"{name} is not taken"
        if name in known and default is not None and name not in DIFFERENT:
            value = ast.literal_eval(default) if not isinstance(default, ast.Name) else ...
            assert value is ... or known[name].default == value, f"{name}: another default"
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        placed = [each.name for each in ours if each.kind is each.POSITIONAL_OR_KEYWORD]
        wanted = [each.arg for each in theirs.args]
        assert placed[: len(wanted)] == wanted


def test_the_list_is_true() -> None:
    """LanceDB itself has these names, in this order."""
    pytest.importorskip("lancedb")
    for line in CALLS:
        theirs = [each.name for each in parameters(found("lancedb", line))]
        for name, _ in defaults(written(line)):
            assert name in theirs, line
