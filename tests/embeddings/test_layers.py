"""The modules of the package stand in layers: no circle of imports, not for types either."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import embow.embeddings

FOLDER = Path(embow.embeddings.__file__).parent
PACKAGE = "embow.embeddings"


def imports_of(path: Path) -> set[str]:
    """Return the sibling modules a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}."):
            found.add((node.module or "").rpartition(".")[2])
    return found


def test_no_circle_of_imports() -> None:
    """Imports inside functions and for type checkers count."""
    modules = {path.stem: path for path in FOLDER.glob("*.py") if path.stem != "__init__"}
    graph = {name: imports_of(path) & modules.keys() for name, path in modules.items()}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert order.index("provider") < order.index("base") < order.index("registry")
