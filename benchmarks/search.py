"""What an exact search costs beside numpy, faiss and the limit: reading the same bytes once.

Run ``python benchmarks/search.py [--rows 1000 10000 100000 1000000]``. CPU time (user and system)
of this process is the measure; all sides take turns in one run. faiss is measured where it is
installed (``pip install faiss-cpu``), on one thread.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines._local import LocalEngine
from embow.engines.contract import EngineOptions, Snapshot, VectorQuery
from embow.engines.predicate import parse_predicate

K = 10
SECTIONS = np.array(["games", "libs", "python", "devel", "doc", "utils", "net", "admin"])
Side = Callable[[], object]
Matrix = NDArray[np.float32]


def compare(rounds: int, sides: dict[str, Side]) -> dict[str, float]:
    """Return the median CPU seconds of each side, taking turns, after one call to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 2):
        for name, side in sides.items():
            start = time.process_time()
            side()
            if turn > 1:
                taken[name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in taken.items()}


def show(title: str, seconds: dict[str, float], *limits: str) -> None:
    """Print a table, each side in milliseconds and to each limit."""
    print(f"\n{title}")
    for name, each in seconds.items():
        ratios = "".join(f"   {each / seconds[limit]:6.2f} x {limit}" for limit in limits)
        print(f"  {name:26} {each * 1e3:9.3f} ms{ratios}")


def make_batches(count: int, dimensions: int) -> Iterator[pa.RecordBatch]:
    """Yield rows of random unit vectors, a shuffled number, one of a few words and a text."""
    random = np.random.default_rng(0)
    ids = random.permutation(count)
    for start in range(0, count, 50_000):
        some = ids[start : start + 50_000]
        vectors = random.standard_normal((len(some), dimensions), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1)[:, None]
        yield pa.record_batch(
            {
                "id": pa.array(some),
                "section": pa.array(SECTIONS[some % len(SECTIONS)].tolist()),
                "text": pa.array([f"package number {n} plays with python and games" for n in some]),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimensions),
            }
        )


def mapped_blocks(folder: Path, dimensions: int) -> list[Matrix]:
    """Return the vectors of a table as they lie in its mapped files."""
    blocks = []
    for path in sorted(folder.glob("data/*/*.arrows")):
        for batch in pa.ipc.open_stream(pa.memory_map(str(path))):
            (column,) = (c for c in batch.columns if pa.types.is_fixed_size_list(c.type))
            flat = np.frombuffer(column.values.buffers()[1], np.float32)
            blocks.append(flat[: len(column) * dimensions].reshape(-1, dimensions))
    return blocks


def nearest(blocks: list[Matrix], queries: Matrix) -> Matrix:
    """Return the largest inner products, as anyone would find them, and their rows, with numpy."""
    if len(queries) == 1:
        scores = np.concatenate([block @ queries[0] for block in blocks])[None]
    else:
        scores = np.concatenate([queries @ block.T for block in blocks], axis=1)
    best = np.argpartition(-scores, K, axis=1)[:, :K]
    order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
    best = np.take_along_axis(best, order, 1)
    return np.take_along_axis(scores, best, 1)


def flat_index(blocks: list[Matrix]) -> Any | None:
    """Return faiss's exact index of the same vectors, where faiss is installed."""
    try:
        faiss = importlib.import_module("faiss")
    except ImportError:
        return None
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(blocks[0].shape[1])
    for block in blocks:
        index.add(np.ascontiguousarray(block))
    return index


class Bench:
    """One table, and what is compared with it."""

    def __init__(self, folder: Path, rows: int, dimensions: int) -> None:
        self.rows = rows
        batches = make_batches(rows, dimensions)
        first = next(batches)
        self.engine = LocalEngine(str(folder), EngineOptions())
        table = self.engine.create_table("t", first.schema, _chain(first, batches))
        self.snapshot: Snapshot = table.snapshot()
        self.blocks = mapped_blocks(folder, dimensions) or [_matrix(first, dimensions)]
        self.index = flat_index(self.blocks)
        random = np.random.default_rng(1)
        self.queries = random.standard_normal((100, dimensions), dtype=np.float32)
        self.queries /= np.linalg.norm(self.queries, axis=1)[:, None]

    def search(self, count: int = 1, metric: Any = "dot", where: str = "") -> Side:
        """Return a search for some queries."""
        predicate = parse_predicate(where, self.snapshot.schema) if where else None
        query = VectorQuery(
            "vector", self.queries[:count], K, metric, columns=["id"], predicate=predicate
        )
        return lambda: self.snapshot.search(query)

    def one(self, rounds: int) -> None:
        """Print one query: every metric, numpy, faiss and the limit."""
        sides: dict[str, Side] = {
            "reading": lambda: [block.max() for block in self.blocks],
            "numpy product alone": lambda: [block @ self.queries[0] for block in self.blocks],
            "numpy, product and best": lambda: nearest(self.blocks, self.queries[:1]),
        }
        if self.index is not None:
            sides["faiss flat"] = lambda: self.index.search(self.queries[:1], K)
        for metric in ("dot", "cosine", "l2"):
            sides[f"embow {metric}"] = self.search(1, metric)
        limits = ("reading", "faiss flat") if self.index is not None else ("reading",)
        found = np.asarray(self.search()()[0]["_distance"])  # type: ignore[index]
        same = np.allclose(1 - found, nearest(self.blocks, self.queries[:1])[0], atol=1e-6)
        title = f"exact top {K} of {self.rows:,} ({'same as' if same else 'OTHER THAN'} numpy's)"
        show(title, compare(rounds, sides), *limits)

    def several(self, rounds: int) -> None:
        """Print several queries in one call beside a loop, and a hundred beside numpy."""
        sides: dict[str, Side] = {"1": self.search()}
        for count in (2, 4, 8):
            sides[f"{count} in one call"] = self.search(count)
        show("several queries", compare(rounds, sides), "1")
        if self.rows <= 10_000:
            many: dict[str, Side] = {
                "numpy": lambda: nearest(self.blocks, self.queries),
                "embow": self.search(100),
            }
            show("100 queries", compare(rounds, many), "numpy")

    def filtered(self, rounds: int) -> None:
        """Print filters of several kinds."""
        wheres = {
            "0.1 %": f"id < {self.rows // 1000}",
            "1 %": f"id < {self.rows // 100}",
            "10 %": f"id < {self.rows // 10}",
            "50 %": f"id < {self.rows // 2}",
            "section = 'games' (12 %)": "section = 'games'",
            "text LIKE '%9 plays%'": "text LIKE '%9 plays%'",
        }
        sides = {
            "no filter": self.search(),
            **{n: self.search(1, "dot", w) for n, w in wheres.items()},
        }
        show("filters", compare(rounds, sides), "no filter")

    def threads(self, rounds: int) -> None:
        """Print the time by the clock, and of all threads, by how many threads may work."""
        print("\nthreads: CPU, and least time by the clock")
        before = os.environ["OMP_NUM_THREADS"]
        search, count = self.search(), 1
        while count <= max(2, os.cpu_count() or 1):
            os.environ["OMP_NUM_THREADS"] = str(count)
            cpu, wall = [], []
            for _ in range(rounds + 1):
                start = time.process_time(), time.perf_counter()
                search()
                cpu.append(time.process_time() - start[0])
                wall.append(time.perf_counter() - start[1])
            used, least = statistics.median(cpu[1:]), min(wall[1:])
            print(f"  {count:3}  {used * 1e3:9.2f} ms {least * 1e3:9.2f} ms")
            count *= 2
        os.environ["OMP_NUM_THREADS"] = before

    def fewer_bytes(self, rounds: int) -> None:
        """Print what scans of a smaller copy would cost, by numpy and by faiss."""
        query = self.queries[0]
        matrix = np.concatenate(self.blocks)
        eight = np.round(matrix * (127 / np.abs(matrix).max())).astype(np.int8)
        half, axes = matrix.astype(np.float16), np.ascontiguousarray(matrix[:, :96])
        sides: dict[str, Side] = {
            "float32": lambda: matrix @ query,
            "int8, numpy": lambda: _widened(eight, query),
            "float16, numpy": lambda: _widened(half, query),
            "96 of the dimensions": lambda: axes @ query[:96],
        }
        if self.index is not None:
            faiss = importlib.import_module("faiss")
            kinds = faiss.ScalarQuantizer
            for name, kind in (("8 bits", kinds.QT_8bit), ("float16", kinds.QT_fp16)):
                index = faiss.IndexScalarQuantizer(
                    matrix.shape[1], kind, faiss.METRIC_INNER_PRODUCT
                )
                index.train(matrix[:1000])
                index.add(matrix)
                sides[f"{name}, faiss"] = lambda index=index: index.search(self.queries[:1], K)  # type: ignore[misc]
        show("scans of a smaller copy", compare(rounds, sides), "float32")


def _widened(matrix: NDArray[Any], query: Matrix) -> None:
    scratch = np.empty((256, matrix.shape[1]), np.float32)
    for start in range(0, len(matrix), 256):
        rows = matrix[start : start + 256]
        np.copyto(scratch[: len(rows)], rows)
        scratch[: len(rows)] @ query


def _matrix(batch: pa.RecordBatch, dimensions: int) -> Matrix:
    return np.asarray(batch["vector"].values).reshape(-1, dimensions)


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    for rows in arguments.rows:
        folder = Path(tempfile.mkdtemp())
        bench = Bench(folder / "db", rows, arguments.dimensions)
        bench.one(arguments.rounds)
        bench.several(arguments.rounds)
        if rows >= 100_000:
            bench.filtered(arguments.rounds)
            bench.threads(arguments.rounds)
        if rows == 100_000:
            bench.fewer_bytes(arguments.rounds)
        bench.snapshot.close()
        bench.engine.close()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
