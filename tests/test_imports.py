"""What importing costs, and who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "core" / "src" / "embow"

MAY_IMPORT = {
    "schema": {"errors"},
    "plugins": {"errors", "engines"},
    "engines": {"variables", "errors", "schema", "expr", "query", "_cancel"},
    "embeddings": {"variables", "errors", "schema", "plugins"},
    "media": {"errors", "embeddings"},
    "pipeline": {"errors", "schema", "plugins", "embeddings", "_cancel"},
    "rerankers": {"errors", "engines", "plugins", "embeddings", "pipeline"},
    "_table": {
        "errors",
        "schema",
        "expr",
        "query",
        "plugins",
        "embeddings",
        "pipeline",
        "rerankers",
        "engines",
        "index",
        "_cancel",
    },
}
"""The rooms of the core that a room may use, beside itself."""

NOT_PRIVATE = {"_asdict", "_exit", "_fields", "_replace"}
"""Public names of the standard library that begin with an underscore all the same."""

LAYERS = (
    ("names", "entries", "settings", "identity", "incoming", "awaiting", "kinds"),
    ("columns",),
    ("paths",),
    ("handle",),
    ("reading", "writing", "truth", "versions", "declaration"),
    ("readable",),
    ("truthful",),
    ("indexed",),
    ("table",),
    ("database",),
    ("connect",),
    ("aio",),
)
"""The modules of ``_table``, from the ground up: each imports from its layer and those below."""

HEAVY = ("numpy", "pyarrow", "pydantic", "pandas", "sqlglot", "tqdm")


def loaded_after(statement: str) -> set[str]:
    """Return the modules a fresh interpreter has imported after ``statement``."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if "|" in line}


@pytest.mark.parametrize("package", HEAVY)
def test_importing_embow_loads_nothing_heavy(package: str) -> None:
    """``import embow`` leaves the large packages for the first name that needs them."""
    assert package not in loaded_after("import embow")


def test_listing_providers_loads_no_sdk() -> None:
    """``embow providers`` reads plain specs: no plugin's class and no SDK is imported."""
    loaded = loaded_after("import embow._cli; embow._cli.main(['providers'])")
    sdks = {"boto3", "botocore", "cohere", "google.genai", "onnxruntime", "openai", "tokenizers"}
    assert loaded & (sdks | {"torch", "transformers", "sentence_transformers"}) == set()


def imported_rooms(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and room of each import of the core in a module, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [f"embow.{path.parent.name}"]
        elif isinstance(node, ast.ImportFrom) and node.module == "embow":
            names = [f"embow.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            parts = name.split(".")
            if parts[0] == "embow" and len(parts) > 1:
                yield node.lineno, parts[1]


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room: str) -> None:
    """No module of a room imports from a room above it."""
    allowed = MAY_IMPORT[room] | {room, "_lazy", "_processes"}
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} imports {other}"
        for path in sorted((SOURCE / room).rglob("*.py"))
        for line, other in imported_rooms(path)
        if other not in allowed
    ]
    assert wrong == []


def test_every_room_of_the_core_has_its_rule() -> None:
    """A new folder in the core is put into the order of imports, or is one that only uses it."""
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms - set(MAY_IMPORT) == {"_cli"}


PLUGINS = {p.name: p for p in sorted(Path(__file__).parents[1].glob("plugins/*/src/*"))}


def modules_in(folder: Path) -> dict[str, Path]:
    """Return the modules of a package by their names inside it, ``""`` for the package itself."""
    found = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: path for name, path in found.items() if "templates" not in path.parts}


MODULES = modules_in(SOURCE)


def imported_names(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a module imports, for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(
    path: Path, package: str = "embow", modules: Mapping[str, Path] = MODULES
) -> Iterator[str]:
    """Yield each module of a package that a module imports, for type checkers too."""
    for name in imported_names(path):
        inside = name.removeprefix(f"{package}.")
        known = inside if inside in modules else inside.rpartition(".")[0]
        if name.startswith(f"{package}.") and known in modules:
            yield known


def circles(package: str, modules: Mapping[str, Path]) -> set[frozenset[str]]:
    """Return the groups of modules that can reach one another.

    The package itself is left out: its names are imported when they are first used.
    """
    imports = {
        name: {*imported_modules(path, package, modules)} - {name, ""}
        for name, path in modules.items()
    }
    reached = {name: _reachable(name, imports) for name in imports if name}
    groups = {
        frozenset({other for other in reached[name] if name in reached.get(other, ())} | {name})
        for name in reached
    }
    return {group for group in groups if len(group) > 1}


def _reachable(start: str, imports: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for name in imports[waiting.pop()] - found:
            found.add(name)
            waiting.append(name)
    return found


def test_no_modules_import_each_other() -> None:
    """There is no circle among the modules of the core."""
    assert circles("embow", MODULES) == set()


@pytest.mark.parametrize("package", PLUGINS)
def test_no_modules_of_a_plugin_import_each_other(package: str) -> None:
    """A plugin's modules form no circle either."""
    assert circles(package, modules_in(PLUGINS[package])) == set()


def test_the_table_layers_run_one_way() -> None:
    """Faces use operations, operations use the handle, the handle uses columns and settings."""
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    wrong = []
    for name, path in MODULES.items():
        room, _, rest = name.partition(".")
        if room == "_table" and rest:
            own = level[rest.partition(".")[0]]
            used = {
                other.split(".")[1]
                for other in imported_modules(path)
                if other.startswith("_table.")
            }
            wrong += [f"{name} imports {other}" for other in used if level[other] > own]
    assert wrong == []


def test_reading_of_user_data_knows_no_engine() -> None:
    """What turns any data into batches could serve another store: only types are shared."""
    wrong = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        if name.startswith("_table.incoming")
        for other in imported_modules(path)
        if other.startswith("engines") and other != "engines.contract"
    ]
    assert wrong == []


def private_uses(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each use of a private attribute that the module does not define."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    defined = {getattr(node, "name", None) for node in nodes}
    for node in nodes:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined.add(node.target.id)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            defined.add(node.attr)
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            known = node.attr in defined or node.attr in NOT_PRIVATE
            if not own and not known and not node.attr.startswith("__"):
                yield node.lineno, ast.unparse(node)


def test_no_module_uses_what_another_keeps_private() -> None:
    """``x._name`` is for the module that defines it."""
    wrong = [
        f"{name}:{line} {text}"
        for name, path in MODULES.items()
        for line, text in private_uses(path)
    ]
    assert wrong == []
