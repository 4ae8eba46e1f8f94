"""What writing costs, beside LanceDB and beside the disk itself, in one run.

    python benchmarks/writes.py [part ...] [--rows 1000000]

Parts: forms, merge, update, delete, small, disk. Each prints CPU seconds of this process (user and
system, all threads), and for durable small writes wall clock too, with what the disk allows.
LanceDB is measured where it is installed; sides take turns. Without a part all are run.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

import embow

PEER = importlib.util.find_spec("lancedb") is not None
DIMS = 384
Table = Any


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds a call takes."""
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(rounds: int, sides: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median CPU seconds of each side, taking turns, after one call to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            seconds = cpu(side)
            if turn:
                taken[name].append(seconds)
    return {name: statistics.median(each) for name, each in taken.items()}


def show(what: str, taken: dict[str, float], per: int = 0, unit: str = "ms") -> None:
    """Print one line: each side, and embow's ratio to the first other one."""
    ours, others = taken["embow"], [v for k, v in taken.items() if k != "embow"]
    ratio = f"{ours / others[0]:6.2f} x" if others else ""
    if per:
        cells = [f"{name} {per / seconds:>9,.0f} rows/CPU s" for name, seconds in taken.items()]
    else:
        cells = [f"{name} {seconds * 1000:>8.2f} {unit}" for name, seconds in taken.items()]
    print(f"{what:<36}", "  ".join(cells), ratio, flush=True)


def batch(count: int, dims: int = DIMS, first: int = 0) -> pa.RecordBatch:
    """Return rows of an id, a text and a random vector."""
    random = np.random.default_rng(first)
    vectors = random.random((count, dims), dtype=np.float32)
    return pa.record_batch(
        {
            "id": pa.array(np.arange(first, first + count)),
            "text": pa.array([f"text {n}" for n in range(first, first + count)]),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dims),
        }
    )


@contextmanager
def tables(count: int = 0, dims: int = DIMS) -> Iterator[dict[str, Table]]:
    """Yield a table of each engine that is there, all with the same rows."""
    folder = Path(tempfile.mkdtemp())
    made: dict[str, Table] = {}
    try:
        for name in ("embow", "lancedb") if PEER else ("embow",):
            module: Any = importlib.import_module(name)
            step = 100_000
            pieces = [batch(min(step, count - at), dims, at) for at in range(0, count, step)]
            schema = batch(1, dims).schema
            table = module.connect(str(folder / name)).create_table("t", schema=schema)
            for piece in pieces:
                table.add(piece if name == "embow" else pa.Table.from_batches([piece]))
            made[name] = table
        yield made
    finally:
        shutil.rmtree(folder)


# -- ready vectors in every form ---------------------------------------------------------------


def forms(count: int = 10_000, rounds: int = 5) -> None:
    """Add ready vectors in the forms people have them in."""
    rows = batch(count)
    matrix = np.asarray(rows.column("vector").flatten()).reshape(count, DIMS)
    ids, texts = rows.column("id").to_pylist(), rows.column("text").to_pylist()
    listed = matrix.tolist()

    class Row(embow.Model):
        id: int
        text: str
        vector: embow.Vector(DIMS)  # type: ignore[valid-type]

    def dicts(vectors: Any) -> list[dict[str, Any]]:
        return [
            {"id": i, "text": t, "vector": v} for i, t, v in zip(ids, texts, vectors, strict=True)
        ]

    data: dict[str, Any] = {
        "Arrow": pa.Table.from_batches([rows]),
        "dicts of lists": dicts(listed),
        "dicts of numpy": dicts(list(matrix)),
        "dicts of numpy, float64": dicts(list(matrix.astype(np.float64))),
        "dicts of numpy, 1 % null": dicts(
            [None if n % 100 == 0 else v for n, v in enumerate(matrix)]
        ),
        "columns of lists": {"id": ids, "text": texts, "vector": listed},
        "columns of numpy": {"id": ids, "text": texts, "vector": list(matrix)},
        "columns with one matrix": {"id": np.arange(count), "text": texts, "vector": matrix},
        "pydantic": [
            Row(id=i, text=t, vector=v) for i, t, v in zip(ids, texts, listed, strict=True)
        ],
        "pydantic of numpy": [
            Row(id=i, text=t, vector=v) for i, t, v in zip(ids, texts, matrix, strict=True)
        ],
    }
    if importlib.util.find_spec("pandas"):
        import pandas as pd

        data["pandas of numpy"] = pd.DataFrame(data["columns of numpy"])
        data["pandas of lists"] = pd.DataFrame(data["columns of lists"])
    if importlib.util.find_spec("polars"):
        import polars as pl

        data["polars of lists"] = pl.DataFrame(
            {"id": ids, "text": texts, "vector": pl.Series(listed, dtype=pl.List(pl.Float32))}
        )
        data["polars array"] = pl.DataFrame(
            {
                "id": ids,
                "text": texts,
                "vector": pl.Series(matrix, dtype=pl.Array(pl.Float32, DIMS)),
            }
        )
    for what, given in data.items():
        with tables() as made:
            sides = {name: adding(name, table, what, given) for name, table in made.items()}
            sides = {name: side for name, side in sides.items() if possible(side)}
            show(what, compare(rounds, sides), per=count)


def adding(name: str, table: Table, what: str, given: Any) -> Callable[[], object]:
    """Return what adds rows; LanceDB takes pydantic objects of its own class, and no columns."""
    if name == "embow":
        return lambda: table.add(given)
    if what.startswith("pydantic"):
        from lancedb.pydantic import LanceModel, Vector

        class Row(LanceModel):
            id: int
            text: str
            vector: Vector(DIMS)  # type: ignore[valid-type]

        given = [Row(id=r.id, text=r.text, vector=list(map(float, r.vector))) for r in given]
    return lambda: table.add(given)


def possible(side: Callable[[], object]) -> bool:
    """Return whether a form is taken at all."""
    try:
        side()
    except Exception as exc:
        print(f"    not taken: {type(exc).__name__}: {str(exc)[:80]}")
        return False
    return True


# -- changes of a large table ------------------------------------------------------------------


def merging(table: Table, size: int) -> Callable[[], object]:
    """Return what merges 1,000 rows, half of them new, other ones at each call."""
    numbers = iter(range(1000))

    def run() -> object:
        at = next(numbers)
        places = np.random.default_rng(at).choice(size, 500, replace=False)
        keys = np.concatenate([places, np.arange(500) + 10_000_000 + at * 500])
        data = pa.Table.from_batches([batch(1000)]).set_column(0, "id", pa.array(keys))
        merged = table.merge_insert("id").when_matched_update_all()
        return merged.when_not_matched_insert_all().execute(data)

    return run


def merge(count: int) -> None:
    """Merge 1,000 rows into a large table."""
    for size in sorted({100_000, count}):
        with tables(size) as made:
            sides = {name: merging(table, size) for name, table in made.items()}
            show(f"merge 1,000 into {size:,}", compare(5, sides))


def updating(table: Table, where: str) -> Callable[[], object]:
    """Return what gives some rows another text."""
    return lambda: table.update(where=where, values={"text": "new"})


def update(count: int) -> None:
    """Update one row, one row in a hundred, and all."""
    for size in sorted({100_000, count}):
        with tables(size) as made:
            for what, where in (("one row", "id = 77"), ("1 %", "id % 100 = 7")):
                sides = {name: updating(table, where) for name, table in made.items()}
                show(f"update {what} of {size:,}", compare(5, sides))
    with tables(100_000) as made:
        sides = {name: updating(table, "true") for name, table in made.items()}
        show("update all 100,000", compare(3, sides))


def delete(deletes: int = 10_000) -> None:
    """Delete one row after the other."""
    with tables(100_000, 8) as made:
        random = np.random.default_rng(0)
        order = random.permutation(100_000)
        for name, table in made.items():
            many = deletes if name == "embow" else 200
            taken = [cpu_of(table, int(row)) for row in order[:many]]
            marks = [at for at in (0, 1_000, 3_000, 6_000, deletes - 200) if at + 200 <= many]
            medians = [statistics.median(taken[at : at + 200]) * 1000 for at in marks]
            cells = "  ".join(
                f"{at + 1:,}th {each:.2f}" for at, each in zip(marks, medians, strict=True)
            )
            print(f"{'delete, ms':<36} {name} {cells}", flush=True)


def cpu_of(table: Table, row: int) -> float:
    """Return the CPU seconds of one delete."""
    start = time.process_time()
    table.delete(f"id = {row}")
    return time.process_time() - start


# -- small durable writes -----------------------------------------------------------------------


def small(adds: int = 400) -> None:
    """Add batches of 100 rows and of one, from one thread and from several at once."""
    synced = syncs()
    print(f"{'the disk: fdatasync of one page':<36} {synced * 1000:.2f} ms", flush=True)
    for rows in (100, 1):
        sides = [("full", 1), ("full", 16), ("os", 1), ("os", 16), ("lancedb", 1)]
        for durability, threads in sides if PEER else sides[:-1]:
            seconds, used = small_adds(durability, threads, adds // threads, rows)
            count = adds // threads * threads
            print(
                f"{f'{rows} rows an add, {durability}, {threads} threads':<36} "
                f"{count * rows / seconds:>9,.0f} rows/s  {count * rows / used:>9,.0f} rows/CPU s  "
                f"{seconds / count * 1000:6.2f} ms an add",
                flush=True,
            )


def small_adds(durability: str, threads: int, adds: int, rows: int) -> tuple[float, float]:
    """Return the seconds and CPU seconds of so many adds by each thread."""
    folder = tempfile.mkdtemp()
    try:
        data = batch(rows)
        if durability == "lancedb":
            import lancedb

            table: Table = lancedb.connect(folder).create_table("t", schema=data.schema)
        else:
            opened = embow.connect(folder, durability=durability)  # type: ignore[arg-type]
            table = opened.create_table("t", schema=data.schema)
        given = pa.Table.from_batches([data])
        table.add(given)

        def work() -> None:
            for _ in range(adds):
                table.add(given)

        workers = [Thread(target=work) for _ in range(threads)]
        wall, used = time.perf_counter(), time.process_time()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return time.perf_counter() - wall, time.process_time() - used
    finally:
        shutil.rmtree(folder)


def syncs(count: int = 100) -> float:
    """Return the median seconds of writing 4 KiB and waiting until they are on the disk."""
    taken = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(count):
            start = time.perf_counter()
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


# -- the disk ----------------------------------------------------------------------------------


def disk(count: int = 100_000) -> None:
    """Print what 100,000 rows take on disk, and what one-row adds leave after optimize()."""
    random = np.random.default_rng(0)
    words = np.array([f"word{n}" for n in range(5_000)])
    picked = words[random.zipf(1.3, (count, 12)) % 5_000]
    texts = pa.table({"id": np.arange(count), "text": [" ".join(each) for each in picked]})
    vectors = texts.append_column("vector", batch(count).column("vector"))
    for what, data in (("id and text", texts), ("id, text and vector", vectors)):
        sizes = {name: stored_bytes(name, data) for name in ("embow", "lancedb")[: 1 + PEER]}
        raw = data.nbytes / 1e6
        cells = "  ".join(f"{name} {size / 1e6:8.1f} MB" for name, size in sizes.items())
        ratio = f"{sizes['embow'] / sizes['lancedb']:.2f} x" if PEER else ""
        print(f"{f'{count:,} rows, {what}':<36} {cells}  in memory {raw:.1f} MB {ratio}")
    folder = Path(tempfile.mkdtemp())
    table = embow.connect(folder).create_table("t", schema=vectors.schema)
    for at in range(2_000):
        table.add(vectors.slice(at, 1))
    before = taken_by(folder)
    table.optimize()
    after, raw = taken_by(folder) / 1e6, vectors.slice(0, 2_000).nbytes / 1e6
    what = "2,000 one-row adds"
    print(f"{what:<36} embow {before / 1e6:8.1f} MB, optimized {after:.1f}, in memory {raw:.1f}")
    shutil.rmtree(folder)


def stored_bytes(name: str, data: pa.Table) -> int:
    """Return the bytes that rows take in the folder of an engine."""
    folder = Path(tempfile.mkdtemp())
    try:
        module: Any = importlib.import_module(name)
        module.connect(str(folder)).create_table("t", data)
        return taken_by(folder)
    finally:
        shutil.rmtree(folder)


def taken_by(folder: Path) -> int:
    """Return the bytes of all files."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


PARTS: dict[str, Callable[[int], None]] = {
    "forms": lambda rows: forms(),
    "merge": merge,
    "update": update,
    "delete": lambda rows: delete(),
    "small": lambda rows: small(),
    "disk": lambda rows: disk(),
}


def main() -> None:
    """Print the parts asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the largest table")
    given = parser.parse_args()
    for name in given.parts or PARTS:
        PARTS[name](given.rows)


if __name__ == "__main__":
    main()
