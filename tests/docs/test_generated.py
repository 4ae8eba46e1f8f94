"""Pages written from the code are the ones the code would write now."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """Return ``docs/generate.py`` as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["providers.md", "errors.md"])
def test_a_generated_page_is_current(generate: ModuleType, name: str) -> None:
    """The committed page equals what ``python docs/generate.py`` would write."""
    path = ROOT / "docs" / "reference" / name
    assert path.read_text(encoding="utf-8") == generate.pages()[path], "run docs/generate.py"


def public_modules() -> list[str]:
    """Return the modules that others may import: no name in their path has an underscore."""
    sources = (ROOT / "core/src/embow", ROOT / "plugins/embow-testing/src/embow_testing")
    found = []
    for source in sources:
        for path in source.rglob("*.py"):
            parts = path.relative_to(source.parent).with_suffix("").parts
            names = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(name.startswith("_") or name == "templates" for name in names):
                found.append(".".join(names))
    return sorted(found)


@pytest.mark.parametrize("module", public_modules())
def test_a_public_module_has_a_place_in_the_reference(module: str) -> None:
    """What may be imported is on a page of the reference."""
    pages = "".join(p.read_text(encoding="utf-8") for p in ROOT.glob("docs/reference/*.md"))
    assert re.search(rf"\b{re.escape(module)}\b", pages)
