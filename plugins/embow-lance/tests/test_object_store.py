"""The engine on an object store: a server on loopback that keeps S3's conditional puts."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pyarrow as pa
import pytest

from embow.engines.contract import Capability, Engine, EngineOptions, ScanQuery
from embow.errors import ConfigurationError
from embow_lance import LanceEngine
from embow_testing.engine_suite import EngineSuite

SCHEMA = pa.schema([pa.field("writer", pa.int64()), pa.field("number", pa.int64())])
PROCESSES, COMMITS, ROWS = 4, 5, 10

WRITER = """
import json, sys
import pyarrow as pa
from embow_lance import LanceEngine
from embow.engines.contract import Change, EngineOptions

uri, options, writer, commits, rows = json.loads(sys.argv[1])
table = LanceEngine(uri, EngineOptions(options)).open_table("t")
print("ready", flush=True)
sys.stdin.readline()
for number in range(commits):
    with table.snapshot() as snapshot:
        data = {"writer": [writer] * rows, "number": [number] * rows}
        staged = table.write([pa.record_batch(data)], base=snapshot.base)
    table.transact(lambda snapshot: Change(snapshot.base, add=[staged]))
"""


@pytest.fixture
def engine(object_store: object) -> Iterator[Engine]:
    """Return an empty database in a bucket of its own."""
    bucket = f"b{uuid.uuid4().hex[:20]}"
    object_store.client.create_bucket(Bucket=bucket)  # type: ignore[attr-defined]
    options = EngineOptions(object_store.options)  # type: ignore[attr-defined]
    engine = LanceEngine(f"s3://{bucket}/db", options)
    yield engine
    engine.close()


class TestObjectStore(EngineSuite):
    """Tables in a bucket."""

    claims = frozenset(
        {
            Capability.VERSIONS,
            Capability.TAGS,
            Capability.RESTORE,
            Capability.ORDERED_SCAN,
            Capability.STABLE_ROW_IDS,
            Capability.MULTIVECTOR,
            Capability.FRAGMENTS,
            Capability.REMOTE_WRITE,
        }
    )

    @pytest.fixture
    def engine(self, engine: Engine) -> Engine:
        """Return an empty database."""
        return engine


def test_processes_that_add_at_once_lose_nothing(engine: Engine) -> None:
    """Each row of each of them is there once, and each commit is a version."""
    table = engine.create_table("t", SCHEMA)
    uri, options = engine.spec()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, json.dumps([uri, dict(options), each, COMMITS, ROWS])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for each in range(PROCESSES)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * PROCESSES
    with table.snapshot() as snapshot:
        found = snapshot.scan(ScanQuery()).read_all()
        rows = sorted(zip(*(found[name].to_pylist() for name in SCHEMA.names), strict=True))
        assert snapshot.base.version == 1 + PROCESSES * COMMITS
    expected = [(w, n) for w in range(PROCESSES) for n in range(COMMITS) for _ in range(ROWS)]
    assert rows == expected


def test_a_secret_does_not_travel(engine: Engine) -> None:
    """What goes to another process names the variable; a key in clear is refused."""
    uri, options = engine.spec()
    assert options["aws_secret_access_key"].startswith("$var:")
    clear = LanceEngine(uri, EngineOptions({**options, "aws_secret_access_key": "clear"}))
    with pytest.raises(ConfigurationError, match="aws_secret_access_key"):
        clear.spec()
