"""The engine in memory keeps the contract of every engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest

from embow.engines._memory import MemoryEngine
from embow.engines._memory.snapshot import MemorySnapshot
from embow.engines.contract import Capability, Engine, EngineOptions, ScanQuery
from embow.errors import ConfigurationError, UnsupportedOperationError
from embow.plugins._engines import engine_for
from embow_testing.engine_suite import EngineSuite


class TestMemory(EngineSuite):
    """Each version is one Arrow table."""

    claims = frozenset(
        {
            Capability.VERSIONS,
            Capability.TAGS,
            Capability.RESTORE,
            Capability.RENAME_TABLE,
            Capability.ORDERED_SCAN,
            Capability.STABLE_ROW_IDS,
            Capability.TEXT_INDEX,
            Capability.VECTOR_INDEX,
            Capability.MULTIVECTOR,
        }
    )

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        """Return an empty database."""
        engine = MemoryEngine("memory://", EngineOptions())
        yield engine
        engine.close()

    @pytest.fixture
    def reopen(self, engine: Engine) -> Callable[[], Engine]:
        """Return the one handle there is."""
        return lambda: engine

    def test_nothing_is_on_disk_or_elsewhere(self, engine: Engine) -> None:
        """There is no folder, and no address for another process."""
        assert engine.folder is None
        with pytest.raises(UnsupportedOperationError, match="another process"):
            engine.spec()


def test_a_uri_leads_to_it() -> None:
    """Only without a name, which would promise that two connections share it."""
    engine = engine_for("memory://")
    assert engine("memory://", EngineOptions()).table_names() == []
    with pytest.raises(ConfigurationError, match="no name"):
        engine("memory://mine", EngineOptions())


def test_check_names_every_version_that_is_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Arrow finds wrong with a batch is a damage of the table, and does not end the check."""
    table = MemoryEngine("memory://", EngineOptions()).create_table("t", pa.schema({"a": "utf8"}))
    ends = pa.py_buffer(np.array([0, 9], np.int32))
    wrong = pa.StringArray.from_buffers(1, ends, pa.py_buffer(b"\xff" * 9))
    damaged = pa.record_batch({"a": wrong})

    def scan(snapshot: MemorySnapshot, query: ScanQuery) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(damaged.schema, [damaged])

    monkeypatch.setattr(MemorySnapshot, "_scan", scan)
    report = table.check()
    assert not report.ok
    assert "Table 't'" in report.damages[0]
