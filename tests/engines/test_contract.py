"""The embedded engine keeps the contract of every engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from embow.engines._local import LocalEngine
from embow.engines.contract import Capability
from embow_testing.engine_suite import EngineSuite


class TestUsualSizes(EngineSuite):
    """Few rows live in the catalog."""

    claims = frozenset(
        {
            Capability.VERSIONS,
            Capability.TAGS,
            Capability.RESTORE,
            Capability.RENAME_TABLE,
            Capability.ORDERED_SCAN,
            Capability.STABLE_ROW_IDS,
            Capability.MULTIVECTOR,
            Capability.FRAGMENTS,
            Capability.VECTOR_INDEX,
            Capability.TEXT_INDEX,
        }
    )


class TestSmallSizes(TestUsualSizes):
    """The same with rows spread over blocks, files and the tail."""

    many = 20

    @pytest.fixture
    def engine(self, open_engine: Callable[..., LocalEngine]) -> LocalEngine:
        """Return an engine that begins a new block and file after very few rows."""
        return open_engine(block_rows=2, fragment_bytes=1, small_rows=1, tail_rows=2)
