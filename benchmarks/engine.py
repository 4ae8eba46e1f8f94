"""What opening and writing costs in the embedded engine, as ratios to Arrow in one run.

Run ``python benchmarks/engine.py``; ``search.py`` beside it measures searches. CPU time (user and
system) of this process is the measure; ratios are of medians over rounds in which both sides take
turns.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

from embow.engines._local import LocalEngine
from embow.engines._local.blocks import Block
from embow.engines.contract import (
    Change,
    EngineOptions,
    EngineTable,
    VectorQuery,
)

K = 10


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds a call takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(rounds: int, **sides: Callable[[], object]) -> dict[str, float]:
    """Return the median CPU seconds of each side, taking turns, after one call to warm up."""
    for side in sides.values():
        side()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            taken[name].append(cpu(side))
    return {name: statistics.median(each) for name, each in taken.items()}


def make_rows(count: int, dimensions: int) -> pa.RecordBatch:
    """Return rows of random unit vectors, a shuffled number and a text."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((count, dimensions), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return pa.record_batch(
        {
            "id": pa.array(random.permutation(count)),
            "text": pa.array([f"text {n}" for n in range(count)]),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimensions),
        }
    )


def bench_first(folder: Path, dimensions: int) -> None:
    """Print what the first search of freshly mapped files costs, with checksums and without."""
    query = VectorQuery("vector", np.ones((1, dimensions), np.float32), K, "dot", columns=["id"])
    look = Block.check
    print("\nfirst and second search after opening, wall and CPU")
    for name in ("without checksums", "with checksums"):
        Block.check = _pass_over if name.startswith("without") else look  # type: ignore[method-assign]
        taken = []
        for _ in range(5):
            engine = LocalEngine(str(folder), EngineOptions())
            snapshot = engine.open_table("t").snapshot()
            for _ in range(2):
                wall = time.perf_counter()
                taken.append((cpu(lambda s=snapshot: s.search(query)), time.perf_counter() - wall))  # type: ignore[misc]
            snapshot.close()
            engine.close()
        for which, pairs in (("first", taken[::2]), ("second", taken[1::2])):
            used, wall = (statistics.median(each) for each in zip(*pairs, strict=True))
            print(f"  {name:18} {which:6} {wall * 1e3:8.2f} ms {used * 1e3:8.2f} ms")


def _pass_over(block: Block) -> None:
    block.checked = True


def append(table: EngineTable, rows: pa.RecordBatch) -> None:
    """Stage rows and commit them."""
    with table.snapshot() as snapshot:
        base = snapshot.base
    table.commit(Change(base, [table.write([rows], base=base)]))


def bench_appends(engine: LocalEngine, rows: pa.RecordBatch) -> None:
    """Print what the thousandth append of one row costs beside the tenth."""
    table = engine.create_table("small", rows.schema)
    taken = [cpu(lambda n=n: append(table, rows.slice(n, 1))) for n in range(1021)]  # type: ignore[misc]
    early, late = (statistics.median(taken[at - 10 : at + 20]) for at in (10, 1000))
    print(f"\none-row append: 10th {early * 1e3:.2f} ms, 1000th {late * 1e3:.2f} ms,")
    print(f"  ratio {late / early:.2f} (medians of 30 around each)")


def bench_bulk(engine: LocalEngine, rows: pa.RecordBatch, folder: Path) -> None:
    """Print rows a CPU second beside a plain Arrow file write and sync."""
    written: list[Path] = []

    def plain() -> None:
        path = folder / f"plain{len(written)}.arrow"  # Both sides fill fresh pages.
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_batch(rows)
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        for old in written[-1:]:
            old.unlink()
        written.append(path)

    bulk = engine.create_table("bulk", rows.schema)
    seconds = compare(
        5,
        arrow=plain,
        embow=lambda: append(bulk, rows),
    )
    print("\nbulk append, rows per CPU second")
    for name, each in seconds.items():
        print(f"  {name:10} {rows.num_rows / each:12,.0f}")
    print(f"  ratio {seconds['embow'] / seconds['arrow']:.2f} x the CPU of a plain Arrow file")


def bench_lancedb(folder: Path, rows: pa.RecordBatch, rounds: int) -> None:
    """Print the same search in LanceDB, where it is installed."""
    try:
        lancedb = importlib.import_module("lancedb")
    except ImportError:
        print("\nlancedb is not installed; no peer to compare with")
        return
    table = lancedb.connect(str(folder / "lance")).create_table("t", pa.Table.from_batches([rows]))
    query = rows["vector"].flatten()[: rows["vector"].type.list_size].to_numpy()
    seconds = compare(rounds, lancedb=lambda: table.search(query).limit(K).to_arrow())
    print(f"\nlancedb, no index: {seconds['lancedb'] * 1e3:.1f} ms")


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        rows = make_rows(arguments.rows, arguments.dimensions)
        engine = LocalEngine(str(folder / "db"), EngineOptions())
        engine.create_table("t", rows.schema, [rows])
        bench_first(folder / "db", arguments.dimensions)
        bench_appends(engine, rows)
        bench_bulk(engine, rows, folder)
        bench_lancedb(folder, rows, arguments.rounds)
        engine.close()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
