"""Real English texts that every Python has: the docstrings of its standard library."""

from __future__ import annotations

import ast
import inspect
import sysconfig
from collections.abc import Iterator
from pathlib import Path

SKIPPED = {"site-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo"}


def docstrings(*, whole: bool = False) -> Iterator[str]:
    """Yield the first paragraph, or the whole, of each distinct docstring, in a fixed order."""
    root = Path(sysconfig.get_path("stdlib"))
    seen: set[str] = set()
    for path in sorted(root.rglob("*.py")):
        if SKIPPED.intersection(path.relative_to(root).parts):
            continue
        for text in _docstrings_of(path):
            value = text if whole else " ".join(text.split("\n\n")[0].split())
            if len(value) > 10 and value not in seen:
                seen.add(value)
                yield value


def _docstrings_of(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # a few files of the library are broken on purpose
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node, clean=False)
            if text:
                yield inspect.cleandoc(text)
