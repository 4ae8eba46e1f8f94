"""Pages written from the code are the ones the code would write now."""

from __future__ import annotations

import importlib.util
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
