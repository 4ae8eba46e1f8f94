"""kill -9 at random points: what was paid is never paid again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ROWS, ITEMS, AT_ONCE, KILLS = 10_000, 50, 4, 8

_CHILD = """
import sys, zlib
from urllib.request import urlopen
import numpy as np, pyarrow as pa
from embow.embeddings import TextEmbeddingFunction
from embow.embeddings.types import Limits
from embow.pipeline import AddReport, EmbedJob, Pipeline, PipelineOptions, SourceRows

url, path, rows, items, at_once = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])

class OverHttp(TextEmbeddingFunction):
    remote = True
    def ndims(self):
        return 4
    def limits(self):
        return Limits(max_items=items, max_concurrency=at_once)
    def generate_embeddings(self, texts):
        with urlopen(url, data="\\n".join(texts).encode()) as answer:
            return np.frombuffer(answer.read(), dtype="<f4").reshape(len(texts), 4)

texts = [f"row {at}" for at in range(rows)]
function, report, at = OverHttp(), AddReport(), 0
batches = (
    SourceRows(pa.record_batch({"text": texts[s:s + 500]})) for s in range(0, rows, 500)
)
job = EmbedJob(function, "text", "vector", 4)
for out in Pipeline(path).embed_batches(batches, [job], PipelineOptions(), report):
    for vector in out.vectors["vector"]:
        assert vector[1] == zlib.crc32(texts[at].encode()) % 1_000_003, at
        at += 1
assert at == rows
print(report.cached)
"""


class CountingServer(ThreadingHTTPServer):
    """Embeds lines of text, counts them, and kills its client at a chosen request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.inputs = 0
        self.until_kill = -1
        self.victim: subprocess.Popen[str] | None = None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Say nothing: killed clients leave broken connections."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self):
        """Answer with a vector for each line that only this line has."""
        import zlib

        import numpy as np

        body = self.rfile.read(int(self.headers["Content-Length"])).decode().split("\n")
        with self.server.lock:
            self.server.inputs += len(body)
            self.server.until_kill -= 1
            if self.server.until_kill == 0:
                self.server.victim.send_signal(signal.SIGKILL)
        made = [[1.0, zlib.crc32(line.encode()) % 1_000_003, 0.0, 0.0] for line in body]
        answer = np.array(made, dtype="<f4").tobytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture
def server():
    """Return a running server."""
    running = CountingServer()
    yield running
    running.shutdown()
    running.server_close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.timeout(300)
def test_a_killed_add_pays_only_for_what_was_on_its_way(server, tmp_path):
    """Killed again and again at random requests, the rows cost only what was in flight on top."""
    random.seed(20261121)
    url = f"http://127.0.0.1:{server.server_port}/"
    command = [sys.executable, "-c", _CHILD, url, str(tmp_path / "cache.sqlite")]
    command += [str(ROWS), str(ITEMS), str(AT_ONCE)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(kill_at: int) -> subprocess.Popen[str]:
        with server.lock:
            server.until_kill = kill_at
            server.victim = subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, env=environment
            )
        return server.victim

    killed = 0
    for _ in range(KILLS):
        child = run(random.randint(1, 28))
        child.communicate()
        killed += child.returncode == -signal.SIGKILL
    last = run(-1)
    printed, _ = last.communicate()
    assert last.returncode == 0
    assert (killed, int(printed) > ROWS // 4) == (KILLS, True)
    assert server.inputs <= ROWS + killed * AT_ONCE * ITEMS


_SLOW = """
import hashlib, os, signal, sys
import embow
from embow.embeddings import TextEmbeddingFunction, register

folder, rows, last = sys.argv[1], *map(int, sys.argv[2:])
total = 0

@register("slow-of-ones-own")
class Slow(TextEmbeddingFunction):
    def ndims(self):
        return 4
    def generate_embeddings(self, texts):
        with open(folder + "/asked", "a") as asked:
            asked.write(f"{len(texts)}\\n")
        global total
        total += len(texts)
        if last and total > last:
            os.kill(os.getpid(), signal.SIGKILL)
        made = [hashlib.pbkdf2_hmac("sha256", text.encode(), b"", 6000) for text in texts]
        return [[1.0, *(byte / 255 for byte in one[:3])] for one in made]

slow = Slow.create()

class Rows(embow.Model):
    text: str = slow.SourceField()
    vector: embow.Vector = slow.VectorField()

table = embow.connect(folder).create_table("t", schema=Rows, exist_ok=True)
report = table.add([{"text": f"row {at}"} for at in range(rows)], progress=False)
print(report.embedded, report.cached, table.count_rows(), table.verify(remote=True).ok)
"""


def test_a_killed_run_of_a_slow_local_model_is_taken_up(tmp_path):
    """Only the call that was on its way is made again; a user's own class counts like any other."""
    rows = 2000

    def run(last: int) -> tuple[subprocess.CompletedProcess[str], list[int]]:
        command = [sys.executable, "-c", _SLOW, str(tmp_path), str(rows), str(last)]
        done = subprocess.run(command, capture_output=True, text=True)
        asked = (tmp_path / "asked").read_text().split()
        (tmp_path / "asked").unlink()
        return done, [int(each) for each in asked]

    killed, first = run(1200)
    kept = sum(each for each in first[:-1] if each > 1)
    done, second = run(0)
    assert (killed.returncode, done.returncode) == (-signal.SIGKILL, 0), done.stderr
    assert done.stdout.split() == [str(rows - kept), str(kept), str(rows), "True"]
    assert kept > 0
    assert second[0] == 1
