"""What parallel requests gain through the real openai SDK, and what memory a long add takes.

    python benchmarks/openai_latency.py        # needs embow-openai installed

A real HTTP server on loopback, in a process of its own, answers each request after 100 ms. The same
rows are added with the provider's own concurrency and with one request after another of the same
size. Then 20,000 and 200,000 rows are added from a generator, each in a fresh process, and their
peak memory is compared. What to read is the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import embow

DIMS = 384
SERVER = """
import sys
from embow_testing.server import EmbeddingServer
from openai_protocol import OpenAIProtocol

with EmbeddingServer(OpenAIProtocol(dims=int(sys.argv[1])), latency=float(sys.argv[2])) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def make_table(url: str, folder: str) -> embow.Table:
    """Return an empty table that embeds through the server."""
    provider = embow.get_registry().get("openai")
    function = provider.create(name="bench", dim=DIMS, base_url=f"{url}/v1", api_key="none")

    class Rows(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    return embow.connect(folder).create_table("t", schema=Rows)


def texts(rows: int) -> Iterator[dict[str, Any]]:
    """Yield short distinct texts."""
    return ({"text": f"a short text, number {number}"} for number in range(rows))


def add(url: str, rows: int, concurrency: int | None) -> dict[str, float]:
    """Add rows in this process; return seconds, requests and peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        table = make_table(url, folder)
        table.add(texts(10), progress=False)
        started = time.perf_counter()
        report = table.add(texts(rows), concurrency=concurrency, progress=False)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "requests": report.requests, "peak": peak}


def in_child(url: str, rows: int) -> dict[str, float]:
    """Run ``add`` in a fresh process."""
    command = [sys.executable, __file__, "--child", url, "--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def serve(latency: float) -> subprocess.Popen[str]:
    """Start the server; its first line is its address."""
    command = [sys.executable, "-c", SERVER, str(DIMS), str(latency)]
    support = str(Path(__file__).parents[1] / "tests" / "support")
    path = os.pathsep.join([support, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, default=20_000)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(add(given.child, given.rows, None)))
        return
    with serve(0.1) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        parallel = add(url, given.rows, None)
        serial = add(url, given.rows, 1)
        server.communicate()
    size = given.rows / parallel["requests"]
    serial_size = given.rows / serial["requests"]
    rate, serial_rate = given.rows / parallel["seconds"], given.rows / serial["seconds"]
    print(f"{given.rows:,} rows, 100 ms a request")
    print(f"  in parallel        {rate:9,.0f} rows/s, {size:.0f} a request")
    print(f"  one after another  {serial_rate:9,.0f} rows/s, {serial_size:.0f} a request")
    same_size = serial_rate * size / serial_size
    print(f"  to one after another of the same size: {rate / same_size:.1f}")
    with serve(0.0) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        small, large = in_child(url, 20_000), in_child(url, 200_000)
        server.communicate()
    print(f"peak memory: {small['peak']:.0f} MiB at 20,000 rows, {large['peak']:.0f} at 200,000,")
    print(f"  ratio {large['peak'] / small['peak']:.2f}")


if __name__ == "__main__":
    main()
