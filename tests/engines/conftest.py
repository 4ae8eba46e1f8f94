"""Engines for the tests of this room, and short ways to do what most of them do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embow.engines._local import LocalEngine
from embow.engines.contract import EngineOptions


@pytest.fixture
def open_engine(tmp_path: Path) -> Iterator[Callable[..., LocalEngine]]:
    """Return a function that opens the test's database; all are closed at the end."""
    opened: list[LocalEngine] = []

    def open_one(**sizes: int) -> LocalEngine:
        opened.append(LocalEngine(str(tmp_path / "db"), EngineOptions(sizes)))
        return opened[-1]

    yield open_one
    for engine in opened:
        engine.close()


@pytest.fixture
def engine(open_engine: Callable[..., LocalEngine]) -> LocalEngine:
    """Return the embedded engine at its usual sizes."""
    return open_engine()
