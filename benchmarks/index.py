"""An index of vectors: what it finds, how fast, and what it takes; faiss alone beside it.

    OMP_NUM_THREADS=1 python benchmarks/index.py [rows] [ndims]

The vectors lie in clusters and differ in few directions, as those of texts do. Times are CPU time
(user and system) of the process; the table's include opening the latest version, reading the ids of
the rows that are found, and computing their exact distances.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray

import embow
from embow.index import Hnsw

Matrix = NDArray[np.float32]
QUERIES = 200
INTRINSIC = 24
"""Directions in which the vectors of one cluster differ much."""


def points(count: int, ndims: int, seed: int) -> Matrix:
    """Return vectors of length 1 in clusters that vary in few directions."""
    rng, world = np.random.default_rng(seed), np.random.default_rng(0)
    centres = world.normal(size=(500, INTRINSIC)).astype(np.float32)
    directions = world.normal(size=(INTRINSIC, ndims)).astype(np.float32)
    found = np.empty((count, ndims), np.float32)
    for start in range(0, count, 2**16):
        size = min(2**16, count - start)
        within = centres[rng.integers(0, 500, size)]
        within = within + 0.7 * rng.standard_normal((size, INTRINSIC), np.float32)
        noise = rng.standard_normal((size, ndims), np.float32)
        found[start : start + size] = within @ directions + 0.3 * noise
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def per_call(call: Callable[[Matrix], object], queries: Matrix) -> float:
    """Return milliseconds of CPU time a call; the least of three rounds."""
    call(queries[0])
    rounds = []
    for _ in range(3):
        begun = time.process_time()
        for query in queries:
            call(query)
        rounds.append((time.process_time() - begun) / len(queries) * 1000)
    return min(rounds)


def main(rows: int, ndims: int) -> None:
    """Print one table."""
    vectors, queries = points(rows, ndims, 1), points(QUERIES, ndims, 2)
    print(f"{rows:,} x {ndims}, cosine, top 10, {QUERIES} queries")
    with tempfile.TemporaryDirectory() as folder:
        db = embow.connect(folder)
        column = pa.FixedSizeListArray.from_arrays(vectors.ravel(), ndims)
        table = db.create_table("t", pa.table({"id": np.arange(rows), "vector": column}))
        memory, begun = psutil.Process().memory_info().rss, time.process_time()
        stats = table.create_index("vector", Hnsw(metric="cosine"))
        built = time.process_time() - begun
        grown = psutil.Process().memory_info().rss - memory
        disk = stats.num_bytes / rows
        raw = sum(path.stat().st_size for path in Path(folder).rglob("*.arrows")) / rows
        print(f"build {built:.1f} s ({built / rows * 1000:.2f} ms a row), {grown / 2**20:.0f} MiB")
        print(f"disk {disk:.0f} bytes a row beside {raw:.0f} of the table")

        def search(query: Matrix) -> embow.VectorSearch:
            return table.search(query).metric("cosine").select(["id"]).limit(10)

        exact = [
            set(search(each).bypass_vector_index().to_arrow()["id"].to_pylist()) for each in queries
        ]
        reading = per_call(lambda q: search(q).bypass_vector_index().to_arrow(), queries[:20])
        print(f"reading every row: {reading:.2f} ms")
        alone = faiss.IndexHNSWSQ(
            ndims, faiss.ScalarQuantizer.QT_fp16, 20, faiss.METRIC_INNER_PRODUCT
        )
        alone.train(vectors[:1])
        alone.hnsw.efConstruction = 150
        begun = time.process_time()
        alone.add(vectors)
        print(f"faiss alone builds in {time.process_time() - begun:.1f} s")
        print("| ef | recall@10 | table, ms | faiss alone, recall | ms |\n|---|---|---|---|---|")
        for ef in (32, 64, 128, 256):
            found = [set(search(each).ef(ef).to_arrow()["id"].to_pylist()) for each in queries]
            took = per_call(lambda q, ef=ef: search(q).ef(ef).to_arrow(), queries)
            settings = faiss.SearchParametersHNSW(efSearch=ef)

            def ask(
                query: Matrix, settings: faiss.SearchParameters = settings
            ) -> NDArray[np.int64]:
                return alone.search(query[None], 10, params=settings)[1][0]

            there = [set(ask(each).tolist()) for each in queries]
            floor = per_call(ask, queries)
            print(
                f"| {ef} | {share(found, exact):.3f} | {took:.2f} | {share(there, exact):.3f} "
                f"| {floor:.2f} |"
            )
        for percent in (1, 10, 50):
            where = f"id % 100 < {percent}"
            took = per_call(lambda q, w=where: search(q).where(w).to_arrow(), queries[:50])
            full = per_call(
                lambda q, w=where: search(q).where(w).bypass_vector_index().to_arrow(), queries[:20]
            )
            right = [
                set(search(each).where(where).bypass_vector_index().to_arrow()["id"].to_pylist())
                for each in queries[:50]
            ]
            had = [set(search(e).where(where).to_arrow()["id"].to_pylist()) for e in queries[:50]]
            print(
                f"{percent} % pass: {took:.2f} ms, recall {share(had, right):.3f}; "
                f"reading {full:.2f} ms"
            )
        db.close()


def share(found: list[set[int]], wanted: list[set[int]]) -> float:
    """Return which share of what is wanted was found."""
    hits = sum(len(one & other) for one, other in zip(found, wanted, strict=True))
    return hits / sum(map(len, wanted))


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    main(*(given or [60_000, 384])) if len(given) != 1 else main(given[0], 384)
