"""What importing costs, and who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "core" / "src" / "embow"

MAY_IMPORT = {
    "schema": {"errors"},
    "plugins": {"errors", "engines"},
    "engines": {"errors"},
    "embeddings": {"errors", "schema", "plugins"},
    "media": {"errors", "embeddings"},
    "pipeline": {"errors", "schema", "plugins", "embeddings"},
    "table": {"errors", "schema", "plugins", "embeddings", "pipeline", "engines"},
}
"""The rooms of the core that a room may use, beside itself."""

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
    loaded = loaded_after("import embow.cli; embow.cli.main(['providers'])")
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
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} imports {other}"
        for path in sorted((SOURCE / room).rglob("*.py"))
        for line, other in imported_rooms(path)
        if other not in allowed
    ]
    assert wrong == []


def test_every_room_of_the_core_has_its_rule() -> None:
    """A new folder in the core is put into the order of imports, or is one that only uses it."""
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert rooms - set(MAY_IMPORT) == {"cli", "testing"}
