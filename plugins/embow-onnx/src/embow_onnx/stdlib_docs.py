"""Read the docstrings of the Python standard library installed here.

Modules written in Python are parsed, never imported. Those written in C are imported; the list
holds only modules whose import does nothing else.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

MAX_CHARACTERS = 400
"""Where a longer paragraph is cut: a sentence model reads little more."""

_SKIPPED_FOLDERS = {
    "dist-packages",
    "idlelib",
    "lib2to3",
    "site-packages",
    "test",
    "tests",
    "turtledemo",
}

_MODULES_IN_C = """
array atexit binascii builtins bz2 cmath collections csv datetime decimal errno fcntl functools
gc grp hashlib io itertools json lzma marshal math mmap operator os pwd random re resource select
signal socket sqlite3 ssl struct sys syslog termios threading time unicodedata weakref zlib
"""

_SIGNATURE = re.compile(r"([\w.]+ = )?[\w.]+\(.*?\)( -+>.*| *=.*|:?)$")

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Docstring:
    """The first paragraph of one public docstring.

    Attributes:
        name: Dotted name, such as ``"subprocess.run"``.
        text: The paragraph, on one line.
    """

    name: str
    text: str


def collect(stdlib: Path | None = None) -> list[Docstring]:
    """Return the docstrings of all public modules, classes, functions and methods, by name."""
    root = stdlib or Path(sysconfig.get_path("stdlib"))
    found = dict(_from_sources(root))
    for name, text in _from_c_modules():
        found.setdefault(name, text)
    return [Docstring(name, text) for name, text in sorted(found.items())]


def first_paragraph(docstring: str | None) -> str | None:
    """Return the first paragraph that is prose, on one line, or ``None``.

    Functions written in C often begin with a line that only repeats their signature.
    """
    if not docstring:
        return None
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(docstring)):
        text = " ".join(paragraph.split())
        if " " in text and not text.startswith(">>>") and not _SIGNATURE.match(text):
            return text[:MAX_CHARACTERS].rstrip()
    return None


def _from_sources(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not _SKIPPED_FOLDERS.isdisjoint(parts) or not all(p.isidentifier() for p in parts):
            continue
        *package, module = parts
        if any(part.startswith("_") for part in parts[:1] + tuple(package)):
            continue
        tree = _parse(path)
        if tree is None:
            continue
        if module.startswith("_") and module != "__init__":
            # A private module of a public package: what it exports is used from the package.
            exported = _exports(tree) | _exports(_parse(path.with_name("__init__.py")))
            yield from _from_body(tree.body, ".".join(package), only=exported)
        else:
            name = ".".join(package if module == "__init__" else parts)
            yield from _from_node(tree, name)


def _parse(path: Path) -> ast.Module | None:
    """Return the syntax tree, or ``None`` for a file that cannot be read as today's Python."""
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _exports(tree: ast.Module | None) -> set[str]:
    """Return the strings in a literal ``__all__``."""
    for statement in tree.body if tree else ():
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in statement.targets
        ):
            constants = [n for n in ast.walk(statement.value) if isinstance(n, ast.Constant)]
            return {c.value for c in constants if isinstance(c.value, str)}
    return set()


def _from_node(node: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[str, str]]:
    if text := first_paragraph(ast.get_docstring(node, clean=False)):
        yield name, text
    yield from _from_body(node.body, name)


def _from_body(
    body: list[ast.stmt], name: str, *, only: set[str] | None = None
) -> Iterator[tuple[str, str]]:
    for child in _definitions(body):
        if child.name.startswith("_") or (only is not None and child.name not in only):
            continue
        child_name = f"{name}.{child.name}"
        if isinstance(child, ast.ClassDef):
            yield from _from_node(child, child_name)
        elif text := first_paragraph(ast.get_docstring(child, clean=False)):
            yield child_name, text


def _definitions(body: list[ast.stmt]) -> Iterator[_Definition]:
    """Yield what a body defines, also below its ``if`` and ``try`` statements."""
    for statement in body:
        if isinstance(statement, _Definition):
            yield statement
        elif isinstance(statement, (ast.If, ast.Try)):
            yield from _definitions(statement.body)
            yield from _definitions(statement.orelse)


def _from_c_modules() -> Iterator[tuple[str, str]]:
    for name in _MODULES_IN_C.split():
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue  # not on this system
        if text := first_paragraph(module.__doc__):
            yield name, text
        for member_name, member in _members(module):
            yield from _from_member(member, f"{name}.{member_name}", home=name)


def _from_member(member: Any, name: str, *, home: str) -> Iterator[tuple[str, str]]:
    if not _belongs_to(member, home):
        return
    if text := first_paragraph(member.__doc__):
        yield name, text
    if isinstance(member, type):
        for method_name, method in _members(member):
            if inspect.ismethoddescriptor(method) and (text := first_paragraph(method.__doc__)):
                yield f"{name}.{method_name}", text


def _members(owner: ModuleType | type) -> list[tuple[str, Any]]:
    return [item for item in sorted(vars(owner).items()) if not item[0].startswith("_")]


def _belongs_to(member: Any, module: str) -> bool:
    """Return whether a class or C function is this module's own, not one it merely imports."""
    if not isinstance(member, type) and not inspect.isbuiltin(member):
        return False
    home = getattr(member, "__module__", None) or module
    return home in (module, "_" + module) or (module == "os" and home in ("posix", "nt"))
