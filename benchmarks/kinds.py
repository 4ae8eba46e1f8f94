"""What a search costs by kind of vector, as ratios to float32 and to reading the bytes, in one run.

Run ``python benchmarks/kinds.py``. CPU time of this process, medians of rounds in turn, one thread.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import embow

Side = Callable[[], object]


def column(matrix: NDArray[Any]) -> pa.Array:
    """Return a matrix as a vector column, without copying it."""
    value = pa.from_numpy_dtype(matrix.dtype)
    flat = pa.Array.from_buffers(value, matrix.size, [None, pa.py_buffer(matrix)])
    return pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1])


def taken(sides: dict[str, Side], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each side, taking turns, after two calls to warm up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 2):
        for name, side in sides.items():
            start = time.process_time()
            side()
            if number > 1:
                times[name].append((time.process_time() - start) * 1e3)
    return {name: statistics.median(each) for name, each in times.items()}


def one_vector_a_row(db: embow.Database, rows: int, ndims: int, rounds: int) -> None:
    """Compare the number types on the same vectors."""
    random = np.random.default_rng(0)
    single = random.standard_normal((rows, ndims), dtype=np.float32)
    single /= np.linalg.norm(single, axis=1)[:, None]
    whole = np.clip(single * 400, -127, 127).astype(np.int8)
    query = random.standard_normal(ndims).astype(np.float32)
    matrices = {
        "float32": (single, query),
        "float16": (single.astype(np.float16), query),
        "float64": (single.astype(np.float64), query),
        "int8": (whole, query * 400),
        "bits": (np.packbits(single > 0, axis=1), np.packbits(query > 0)),
    }
    sides: dict[str, Side] = {}
    for name, (matrix, one) in matrices.items():
        data = pa.table({"id": np.arange(rows), "vector": column(matrix)})
        table = db.create_table(name, data)
        search = table.search(one).select(["id"]).limit(10)
        sides[name] = search.to_arrow
        words = matrix.reshape(-1).view(np.uint64)
        sides[f"reading {name}"] = words.max
    found = taken(sides, rounds)
    print(f"{rows:,} x {ndims}: CPU ms, MB, times float32, times reading the bytes")
    for name, (matrix, _) in matrices.items():
        read = found[name] / found[f"reading {name}"]
        share = found[name] / found["float32"]
        print(f"{name:8} {found[name]:8.2f} {matrix.nbytes / 1e6:8.1f} {share:6.2f} {read:6.2f}")


def several_vectors_a_row(db: embow.Database, rows: int, rounds: int) -> None:
    """Compare a search by 32 vectors with the matrix product it cannot do without."""
    random = np.random.default_rng(1)
    counts = random.integers(10, 50, rows)
    matrix = random.standard_normal((int(counts.sum()), 128), dtype=np.float32)
    matrix /= np.linalg.norm(matrix, axis=1)[:, None]
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, column(matrix))
    table = db.create_table("several", pa.table({"id": np.arange(rows), "vectors": lists}))
    query = random.standard_normal((32, 128)).astype(np.float32)
    search = table.search(query).metric("cosine").select(["id"]).limit(10)
    found = taken({"search": search.to_arrow, "product": lambda: matrix @ query.T}, rounds)
    print(
        f"{len(matrix):,} vectors in {rows:,} rows, 32 of the query: {found['search']:.1f} ms, "
        f"{found['search'] / found['product']:.2f} times the matrix product"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--ndims", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, embow.connect(folder) as db:
        one_vector_a_row(db, given.rows, given.ndims, given.rounds)
        several_vectors_a_row(db, given.rows // 10, given.rounds)


if __name__ == "__main__":
    main()
