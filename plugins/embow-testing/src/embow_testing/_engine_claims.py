"""The part of the engine suite about capabilities: what is claimed is kept, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from embow.engines.contract import (
    Capability,
    Engine,
    EngineTable,
    ScanQuery,
    TextQuery,
    VectorQuery,
)
from embow.errors import UnsupportedOperationError
from embow.query import MatchQuery
from embow_testing._engine_base import EngineTests, add, put_column


@dataclass(frozen=True, slots=True)
class _Config:
    """Asks for an index by its capability alone."""

    capability: Capability


def _read_version(engine: Engine, table: EngineTable) -> None:
    table.snapshot(1).close()
    table.versions()


def _tag(engine: Engine, table: EngineTable) -> None:
    table.set_tag("a", 1)
    table.tags()
    table.delete_tag("a")


def _restore(engine: Engine, table: EngineTable) -> None:
    table.restore(1)


def _rename(engine: Engine, table: EngineTable) -> None:
    engine.rename_table("t", "u")


def _fragments(engine: Engine, table: EngineTable) -> None:
    with table.snapshot() as snapshot:
        for fragment in snapshot.fragments():
            snapshot.scan(ScanQuery(fragment=fragment)).read_all()


def _search_several(engine: Engine, table: EngineTable) -> None:
    field = pa.field("several", pa.list_(pa.list_(pa.float32(), 2)))
    put_column(table, field, {0: [[0.0, 1.0]]})
    with table.snapshot() as snapshot:
        snapshot.search(VectorQuery("several", np.ones((1, 2), np.float32), 1))


DEEDS: dict[Capability, Callable[[Engine, EngineTable], None]] = {
    Capability.VERSIONS: _read_version,
    Capability.TAGS: _tag,
    Capability.RESTORE: _restore,
    Capability.RENAME_TABLE: _rename,
    Capability.FRAGMENTS: _fragments,
    Capability.MULTIVECTOR: _search_several,
}
"""What only an engine with a capability can be asked."""

INDEXES = (Capability.VECTOR_INDEX, Capability.TEXT_INDEX)


class ClaimSuite(EngineTests):
    """Capabilities are what they are said to be."""

    def test_the_engine_declares_what_it_claims(self, engine: Engine, table: EngineTable) -> None:
        """Database, tables and snapshots agree with the suite's ``claims``."""
        with table.snapshot() as snapshot:
            declared = {engine.capabilities, table.capabilities, snapshot.capabilities}
        assert declared == {self.claims}

    @pytest.mark.parametrize("capability", list(DEEDS), ids=lambda each: each.name)
    def test_what_is_claimed_works_and_nothing_else(
        self, engine: Engine, table: EngineTable, capability: Capability
    ) -> None:
        """A claimed capability can be used; another one is refused with a sentence."""
        add(table, 5)
        if capability in self.claims:
            DEEDS[capability](engine, table)
            return
        with pytest.raises(UnsupportedOperationError, match=str(capability)):
            DEEDS[capability](engine, table)

    @pytest.mark.parametrize("capability", INDEXES, ids=lambda each: each.name)
    def test_an_index_that_is_not_claimed_is_refused(
        self, table: EngineTable, capability: Capability
    ) -> None:
        """The refusal comes before anything is built."""
        if capability in self.claims:
            pytest.skip("the engine's own tests build its indexes")
        with pytest.raises(UnsupportedOperationError):
            table.create_index("vector", _Config(capability), name="i")

    def test_text_search_that_is_not_claimed_is_refused(self, table: EngineTable) -> None:
        """There is no silent scan for words."""
        if Capability.TEXT_INDEX in self.claims:
            pytest.skip("the engine's own tests search text")
        with table.snapshot() as snapshot, pytest.raises(UnsupportedOperationError):
            snapshot.search_text(TextQuery(MatchQuery("t1"), ["text"], 1))

    def test_fragments_hold_each_row_once(self, table: EngineTable) -> None:
        """Read one by one they give what a scan gives."""
        self.needs(Capability.FRAGMENTS)
        add(table, 5, 6)
        found: list[int] = []
        with table.snapshot() as snapshot:
            for name in snapshot.fragments():
                query = ScanQuery(columns=["id"], fragment=name)
                found += snapshot.scan(query).read_all()["id"].to_pylist()
        assert sorted(found) == [0, 1, 2, 3, 4, 5, 6]
