"""What the ingestion pipeline costs beside writing files and LanceDB, and what parallel calls gain.

    python benchmarks/pipeline.py               # pip install lancedb to have it as a side

Overhead: an instant provider, 384 dimensions, Arrow input; rows for each CPU second (user and
system) of this process, the sides taking turns, medians of the rounds. Latency: a real HTTP server
on loopback in a process of its own that answers after 100 ms; requests one after another against
the pipeline's own concurrency, requests of the same size. What to read is the ratios.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

from embow.embeddings import register
from embow.embeddings._base import TextEmbeddingFunction
from embow.embeddings.types import Limits
from embow.pipeline import AddReport, EmbedJob, Pipeline, PipelineOptions, SourceRows

NDIMS = 384
POOL = np.random.default_rng(0).random((20_000, NDIMS), dtype=np.float32) + 1
ROWS_A_BATCH = 10_000


@register("instant")
class Instant(TextEmbeddingFunction):
    """Answers at once."""

    def ndims(self) -> int:
        """Return the length of the vectors."""
        return NDIMS

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return ready vectors."""
        return POOL[: len(texts)]


@register("instant-remote")
class InstantRemote(Instant):
    """The same, with the limits of a remote provider."""

    remote: ClassVar[bool] = True

    def limits(self) -> Limits:
        """Return limits like OpenAI's."""
        return Limits(max_items=2048, max_concurrency=16)


def texts(rows: int, seed: int) -> list[pa.RecordBatch]:
    """Return short distinct texts as record batches."""
    return [
        pa.record_batch(
            {"text": [f"row {at} of run {seed}: a short text, number {at * 7}" for at in part]}
        )
        for part in (
            range(start, min(start + ROWS_A_BATCH, rows)) for start in range(0, rows, ROWS_A_BATCH)
        )
    ]


def embed(
    batches: list[pa.RecordBatch], function: TextEmbeddingFunction, path: Path | None
) -> Iterator[pa.RecordBatch]:
    """Yield the batches with their vectors and hashes."""
    pipeline = Pipeline(path)
    options = PipelineOptions(cache=path is not None, progress=False)
    job = EmbedJob(function, "text", "vector", NDIMS)
    rows = (SourceRows(batch) for batch in batches)
    for out in pipeline.embed_batches(rows, [job], options, AddReport()):
        vectors = with_dims(out.vectors["vector"])
        columns = [out.batch.column("text"), vectors, out.hashes["vector"]]
        yield pa.RecordBatch.from_arrays(columns, names=["text", "vector", "hash"])
    pipeline.close()


def with_dims(vectors: np.ndarray) -> pa.Array:
    """Return vectors as a fixed-size list array, without a copy."""
    values = pa.Array.from_buffers(pa.float32(), vectors.size, [None, pa.py_buffer(vectors)])
    return pa.FixedSizeListArray.from_arrays(values, vectors.shape[1])


def write_file(batches: Iterator[pa.RecordBatch], path: Path) -> None:
    """Write batches as one Arrow IPC file."""
    first = next(batches)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def ready(batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches with vectors that cost nothing to make."""
    for batch in batches:
        vectors = with_dims(POOL[: batch.num_rows])
        yield pa.RecordBatch.from_arrays([batch.column("text"), vectors], names=["text", "vector"])


def table_side(
    folder: Path, cls: type[Instant], cache: bool
) -> Callable[[list[pa.RecordBatch]], None]:
    """Return embow's whole ``add``, a commit a batch like LanceDB's side."""
    import embow

    function = cls()

    class Rows(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    db = embow.connect(folder)

    def add(batches: list[pa.RecordBatch]) -> None:
        table = db.create_table("t", schema=Rows, mode="overwrite")
        for batch in batches:
            table.add(batch, cache=cache, progress=False)

    return add


def lancedb_side(folder: Path) -> Callable[[list[pa.RecordBatch]], None] | None:
    """Return LanceDB's add through its registry, or ``None`` where it is not installed."""
    try:
        import lancedb
        from lancedb.embeddings import TextEmbeddingFunction as Theirs
        from lancedb.embeddings import register as register_theirs
        from lancedb.pydantic import LanceModel, Vector
    except ImportError:
        return None

    @register_theirs("instant")
    class TheirInstant(Theirs):  # type: ignore[misc]
        def ndims(self) -> int:
            return NDIMS

        def generate_embeddings(self, texts: Any) -> Any:
            return list(POOL[: len(texts)])

    function = TheirInstant.create()

    class Rows(LanceModel):  # type: ignore[misc]
        text: str = function.SourceField()
        vector: Vector(NDIMS) = function.VectorField()  # type: ignore[valid-type]

    db = lancedb.connect(folder)

    def add(batches: list[pa.RecordBatch]) -> None:
        table = db.create_table("t", schema=Rows, mode="overwrite")
        for batch in batches:
            table.add(pa.Table.from_batches([batch]))

    return add


def overhead(rows: int, rounds: int) -> None:
    """Print rows for each CPU second of every side, and ratios to the file write."""
    folder = Path(tempfile.mkdtemp())
    caches = iter(range(10**6))

    def run(cls: type[Instant], cache: bool) -> Callable[[list[pa.RecordBatch]], None]:
        function = cls()

        def side(batches: list[pa.RecordBatch]) -> None:
            path = folder / f"{next(caches)}.sqlite" if cache else None
            for _ in embed(batches, function, path):
                pass

        return side

    def run_cached(batches: list[pa.RecordBatch]) -> None:
        for _ in embed(batches, warm, folder / "warm.sqlite"):
            pass

    warm = InstantRemote()
    sides: dict[str, Callable[[list[pa.RecordBatch]], None] | None] = {
        "Arrow file write, vectors ready": lambda b: write_file(ready(b), folder / "f.arrow"),
        "pipeline, cache off": run(Instant, False),
        "pipeline, cache off, and file write": lambda b: write_file(
            embed(b, Instant(), None), folder / "g.arrow"
        ),
        "pipeline, cache on (local)": run(Instant, True),
        "pipeline, cache on (remote, 128 a request)": run(InstantRemote, True),
        "pipeline, all from the cache": run_cached,
        "table.add, cache off": table_side(folder / "off", Instant, False),
        "table.add, cache on (local)": table_side(folder / "local", Instant, True),
        "table.add, cache on (remote, 128 a request)": table_side(
            folder / "remote", InstantRemote, True
        ),
        "LanceDB, through its registry": lancedb_side(folder / "lance"),
    }
    taken: dict[str, list[float]] = {name: [] for name, side in sides.items() if side}
    fixed = texts(rows, 0)
    run_cached(fixed)
    for number in range(rounds + 1):
        for name, side in sides.items():
            if side is None:
                continue
            batches = fixed if side is run_cached else texts(rows, number + 1)
            start = time.process_time()
            side(batches)
            if number:  # the first round warms up
                taken[name].append(time.process_time() - start)
    shutil.rmtree(folder)
    base = rows / statistics.median(taken["Arrow file write, vectors ready"])
    lance = taken.get("LanceDB, through its registry")
    print(f"\nOverhead: {rows:,} rows x {NDIMS}, instant provider, {rounds} rounds")
    for name, seconds in taken.items():
        rate = rows / statistics.median(seconds)
        beside = f"{rate * statistics.median(lance) / rows:6.2f} x LanceDB" if lance else ""
        print(f"  {name:44s} {rate:10,.0f} rows/CPU s  {rate / base:5.2f} x file write  {beside}")


_SERVER = """
import sys, time, numpy as np
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
pool = np.ones((2048, int(sys.argv[2])), "<f4")
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        start = time.monotonic()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = memoryview(pool[: body.count(b"\\n") + 1]).cast("B")
        time.sleep(max(0, float(sys.argv[1]) - (time.monotonic() - start)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *args): pass
class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


class OverHttp(Instant):
    """Asks a server on loopback, and counts what it asks."""

    provider_id: ClassVar[str | None] = "over-http"
    remote: ClassVar[bool] = True

    url: str
    items: int
    at_once: int

    def limits(self) -> Limits:
        """Return the limits of the run."""
        return Limits(max_items=self.items, max_concurrency=self.at_once)

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Post the texts, one a line."""
        with urlopen(self.url, data="\n".join(texts).encode()) as answer:
            return np.frombuffer(answer.read(), dtype="<f4").reshape(len(texts), NDIMS)


def latency(rows: int, milliseconds: int) -> None:
    """Print what requests in parallel gain over requests one after another."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(milliseconds / 1000), str(NDIMS)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
    print(f"\nLatency: {rows:,} rows x {NDIMS}, {milliseconds} ms a request, cache on")
    try:
        for limit in (2048, 96):
            compare_latency(url, rows, limit)
    finally:
        server.terminate()
        server.wait()


def compare_latency(url: str, rows: int, limit: int) -> None:
    """Print one row: the pipeline's own way, then one request after another of the same size."""
    rates: list[float] = []
    report = AddReport()
    for at_once in (16, 1):
        # The size the pipeline chose when parallel is the size used one after another.
        items = limit if at_once > 1 else -(-report.embedded // report.requests)
        report = AddReport()
        function = OverHttp(url=url, items=items, at_once=at_once)
        with tempfile.TemporaryDirectory() as folder:
            pipeline = Pipeline(Path(folder) / "cache.sqlite")
            job = EmbedJob(function, "text", "vector", NDIMS)
            start = time.monotonic()
            options = PipelineOptions(progress=False)
            for _ in pipeline.embed_batches(
                map(SourceRows, texts(rows, limit)), [job], options, report
            ):
                pass
            rates.append(rows / (time.monotonic() - start))
            pipeline.close()
    print(
        f"  limit {limit:5}: {rates[0]:9,.0f} rows/s in parallel, {rates[1]:7,.0f} one after "
        f"another ({report.requests} requests of {items}): {rates[0] / rates[1]:.1f} x"
    )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["overhead", "latency"])
    given = parser.parse_args()
    if given.only != "latency":
        overhead(given.rows, given.rounds)
    if given.only != "overhead":
        latency(20_000, 100)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"\nPeak memory of this process: {peak} MiB")


if __name__ == "__main__":
    main()
