"""The Lance engine keeps the contract of every engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embow.engines.contract import Capability, Engine, EngineOptions
from embow_lance import LanceEngine
from embow_testing.engine_suite import EngineSuite


class TestFolder(EngineSuite):
    """Tables in a folder."""

    claims = frozenset(
        {
            Capability.VERSIONS,
            Capability.TAGS,
            Capability.RESTORE,
            Capability.ORDERED_SCAN,
            Capability.STABLE_ROW_IDS,
            Capability.MULTIVECTOR,
            Capability.FRAGMENTS,
        }
    )

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """Return an empty database."""
        engine = LanceEngine(f"lance://{tmp_path}/db", EngineOptions())
        yield engine
        engine.close()
