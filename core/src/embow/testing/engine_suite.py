"""What every storage engine must do, as pytest classes.

An engine's tests subclass `EngineSuite` and provide the fixture ``engine``::

    class TestMyEngine(EngineSuite):
        @pytest.fixture
        def engine(self, tmp_path):
            engine = MyEngine(str(tmp_path), EngineOptions())
            yield engine
            engine.close()

Tests of a capability that the engine does not declare are skipped.
"""

from __future__ import annotations

from embow.testing._engine_evolution import EvolutionSuite
from embow.testing._engine_reads import ReadSuite, SearchSuite
from embow.testing._engine_writes import DatabaseSuite, WriteSuite


class EngineSuite(DatabaseSuite, WriteSuite, ReadSuite, SearchSuite, EvolutionSuite):
    """Everything the contract asks for."""
