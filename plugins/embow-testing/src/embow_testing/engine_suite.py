"""What every storage engine must do, as pytest classes.

An engine's tests subclass `EngineSuite`, state the capabilities the engine is meant to have, and
provide the fixture ``engine``::

    class TestMyEngine(EngineSuite):
        claims = frozenset({Capability.VERSIONS})

        @pytest.fixture
        def engine(self, tmp_path):
            engine = MyEngine(str(tmp_path), EngineOptions())
            yield engine
            engine.close()

The fixture ``reopen`` opens the database a second time from ``engine.spec()``; an engine whose
database cannot be opened twice overrides it with ``lambda: engine``. Tests of a capability that is
not claimed are skipped; that it is refused is tested.
"""

from __future__ import annotations

from embow_testing._engine_claims import ClaimSuite
from embow_testing._engine_commits import (
    MergeSuite,
    RuleSuite,
    TransactSuite,
)
from embow_testing._engine_evolution import ColumnSuite
from embow_testing._engine_held import HeldSuite
from embow_testing._engine_kinds import KindSuite
from embow_testing._engine_overwrite import OverwriteSuite
from embow_testing._engine_races import RaceSuite
from embow_testing._engine_reads import CheckSuite, LocateSuite, ReadSuite
from embow_testing._engine_search import FilterSuite, SearchSuite
from embow_testing._engine_tokens import IdentitySuite, LeaseSuite, TokenSuite
from embow_testing._engine_versions import RestoreSuite, TagSuite, VersionSuite
from embow_testing._engine_writes import DatabaseSuite, WriteSuite


class EngineSuite(
    ClaimSuite,
    DatabaseSuite,
    WriteSuite,
    ReadSuite,
    LocateSuite,
    CheckSuite,
    SearchSuite,
    FilterSuite,
    KindSuite,
    RuleSuite,
    MergeSuite,
    TransactSuite,
    TokenSuite,
    LeaseSuite,
    IdentitySuite,
    ColumnSuite,
    OverwriteSuite,
    HeldSuite,
    VersionSuite,
    TagSuite,
    RestoreSuite,
    RaceSuite,
):
    """Everything the contract asks for."""
