"""A table, the real SDK and a server that misbehaves: nothing paid twice, no row lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil, log2
from pathlib import Path
from typing import Any

import pytest

import embow
from embow.errors import AuthenticationError, BadInputError
from embow_openai import OpenAIEmbeddings
from embow_testing import faults
from embow_testing.server import EmbeddingServer


def _table(folder: Path, function: OpenAIEmbeddings) -> embow.Table:
    class Words(embow.Model):
        id: int
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    return embow.connect(folder).create_table("words", schema=Words)


def _rows(count: int) -> Iterator[dict[str, Any]]:
    return ({"id": number, "text": f"text number {number}"} for number in range(count))


def test_after_a_429_no_request_is_sent_inside_the_window(
    make: Callable[..., OpenAIEmbeddings], server: EmbeddingServer, tmp_path: Path
) -> None:
    """With many requests at once, all wait as long as the server said, and every row comes in."""
    server.latency = 0.02
    window = 2.0
    server.script(None, None, None, *[faults.rate_limited(retry_after=window)] * 6)
    table = _table(tmp_path, make(dim=8, batch_size=50))
    assert table.add(_rows(1000)).rows == 1000
    refused = [request for request in server.requests if request.fault]
    assert refused
    in_flight = server.latency
    first = min(request.time for request in refused) + in_flight
    storm = [request.time for request in refused]
    for request in server.requests:
        if request.fault is None and request.time > first + 10 * in_flight:
            assert request.time >= max(t for t in storm if t < request.time) + window - 0.01
    assert table.count_rows() == 1000


def test_a_wrong_key_costs_one_request(
    make: Callable[..., OpenAIEmbeddings], server: EmbeddingServer, tmp_path: Path
) -> None:
    """However many rows and however much concurrency, a refused key is asked once."""
    server.always(faults.unauthorized())
    table = _table(tmp_path, make(dim=8, batch_size=10, api_key="sk-wrong"))
    with pytest.raises(AuthenticationError, match="openai"):
        table.add(_rows(1000))
    assert len(server.requests) == 1
    assert table.count_rows() == 0


_LLAMA = {"message": "input is too large to process. increase the physical batch size"}
_OLLAMA = {"message": "failed to encode response: json: unsupported value: NaN"}


@pytest.mark.parametrize("error", [_LLAMA, _OLLAMA])
def test_a_text_that_a_server_fails_at_is_set_aside_alone(
    make: Callable[..., OpenAIEmbeddings], server: EmbeddingServer, tmp_path: Path, error: Any
) -> None:
    """A 500 that speaks of an input is no failure of the server: the other rows are stored."""
    server.when(
        lambda request: any("number 50" in item for item in request.items),
        faults.reply({"error": error}, 500),
    )
    table = _table(tmp_path, make(dim=8))
    report = table.add(_rows(100), on_error="skip", on_long="error")
    assert (report.rows, table.count_rows()) == (99, 99)
    assert table.count_rows("id = 50") == 0


def test_the_row_that_a_server_names_in_its_own_way_is_blamed(
    make: Callable[..., OpenAIEmbeddings], server: EmbeddingServer, tmp_path: Path
) -> None:
    """FastAPI's servers say where in the body the error is."""
    problem = {"type": "string_type", "loc": ["body", "input", 7], "msg": "Input should be text"}
    server.when(lambda request: len(request.items) > 7, faults.reply({"detail": [problem]}, 422))
    table = _table(tmp_path, make(dim=8))
    with pytest.raises(BadInputError, match="at row 7") as caught:
        table.add(_rows(20))
    assert caught.value.row == 7


def test_a_request_larger_than_a_minutes_allowance_is_split(
    make: Callable[..., OpenAIEmbeddings], server: EmbeddingServer, tmp_path: Path
) -> None:
    """Waiting would never make it fit."""
    said = "Request too large on tokens per min (TPM): Limit 40000, Requested 160256."
    server.when(
        lambda request: len(request.items) > 30, faults.reply({"error": {"message": said}}, 429)
    )
    table = _table(tmp_path, make(dim=8, max_retries=0))
    assert table.add(_rows(200)).rows == 200


def test_one_poisoned_text_is_quarantined_alone(
    make: Callable[..., OpenAIEmbeddings], server: EmbeddingServer, tmp_path: Path
) -> None:
    """Of 5,000 rows 4,999 are stored, and the bad one is found by halving its request."""
    healthy = _table(tmp_path / "healthy", make(dim=8, batch_size=500)).add(_rows(5000))
    server.forget()
    server.poison("number 3333")
    table = _table(tmp_path / "poisoned", make(dim=8, batch_size=500))
    report = table.add(_rows(5000), on_error="quarantine")
    assert (report.rows, table.count_rows(), len(table.failed_rows())) == (4999, 4999, 1)
    largest = max(len(request.items) for request in server.requests)
    assert report.requests == len(server.requests)
    assert report.requests <= healthy.requests + 2 * ceil(log2(largest))
    assert table.failed_rows()["id"].to_pylist() == [3333]


CHILD = """
import os, sys
import embow
import openai.resources.embeddings
import embow._table.connect, embow.engines._local, embow.pipeline._pipeline
from embow_openai import OpenAIEmbeddings

folder, url, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])

def add():
    function = OpenAIEmbeddings.create(
        name="tiny", base_url=url + "/v1", api_key="test", batch_size=50, dim=8)
    class Words(embow.Model):
        id: int
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()
    table = embow.connect(folder).create_table("words", schema=Words, exist_ok=True)
    table.add(({"id": n, "text": f"text number {n}"} for n in range(rows)),
              concurrency=2, progress=False)

for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        try:
            add()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


@contextmanager
def _children(folder: Path, url: str, rows: int) -> Iterator[subprocess.Popen[str]]:
    """A process that starts a child for each line it reads, ready imported."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI")}
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), url, str(rows)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def _start(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def _status(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_killed_twenty_times_pays_for_each_row_once(
    server: EmbeddingServer, tmp_path: Path
) -> None:
    """After every kill the next add goes on where the last stood; then each row is there once."""
    rows, kills, in_flight = 10_000, 20, 2 * 50
    chance = random.Random(7)
    server.latency = 0.005
    with _children(tmp_path / "db", server.url, rows) as process:
        for _ in range(kills):
            seen = len(server.requests)
            pid = _start(process)
            server.wait_for(seen + chance.randint(1, 9), timeout=60)
            os.kill(pid, signal.SIGKILL)
            assert os.WTERMSIG(_status(process)) == signal.SIGKILL
        _start(process)
        assert _status(process) == 0
    table = embow.connect(tmp_path / "db").open_table("words")
    assert sorted(table.to_arrow()["id"].to_pylist()) == list(range(rows))
    assert table.verify().ok
    sent = list(server.items)
    assert set(sent) == {f"text number {n}" for n in range(rows)}
    assert len(sent) <= rows + kills * in_flight


def test_the_key_is_in_no_file_and_no_message(
    make: Callable[..., OpenAIEmbeddings], server: EmbeddingServer, tmp_path: Path
) -> None:
    """A sentinel for a key shows up nowhere on disk, in no error and in no report."""
    sentinel = "sk-sentinel-5f1d0c"
    function = make(api_key=sentinel, default_headers={"X-Extra": sentinel})
    table = _table(tmp_path, function)
    report = table.add(_rows(20))
    table.search("text").to_list()
    server.always(faults.unauthorized())
    with pytest.raises(AuthenticationError) as caught:
        table.add([{"id": 99, "text": "new"}])
    shown = [str(caught.value), repr(caught.value), repr(report), repr(function), repr(table)]
    shown += [str(table.schema), str(function.safe_model_dump()), function.model_dump_json()]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(sentinel in text for text in shown)
    assert not any(sentinel.encode() in path.read_bytes() for path in files)
