"""How the cost of each call grows with the table: CPU time at several sizes, and the exponent.

    python benchmarks/growth.py [--sizes 10000 100000 1000000] [--plot growth.svg]

One table a size, with a number, a text and a vector of 64 dimensions, written in one addition and
not optimized. CPU time (user and system, all threads) of this process is the measure, the median of
several calls after one to warm up. The exponent is the slope of a line through the points, both
axes logarithmic: 0 where the size does not matter, 1 where every row is looked at. Calls of less
than a millisecond are mostly fixed cost, so their exponents say little.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

import embow

DIMENSIONS = 64
MERGED = 1000
ROUNDS = 7
SIZES = (10_000, 100_000, 1_000_000)
Call = Callable[[int], object]
Times = dict[str, list[float]]


def rows_of(first: int, count: int) -> pa.Table:
    """Return rows numbered from ``first`` on, their vectors of length one."""
    random = np.random.default_rng(first)
    vectors = random.standard_normal((count, DIMENSIONS), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return pa.table(
        {
            "id": pa.array(np.arange(first, first + count)),
            "price": pa.array(random.permutation(count)),
            "text": [f"text {number}" for number in range(first, first + count)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSIONS),
        }
    )


def calls(folder: str, table: embow.Table, size: int) -> dict[str, Call]:
    """Return what is measured; each takes a number that was not used before."""
    query = np.ones(DIMENSIONS, np.float32)

    def opened(_: int) -> object:
        return embow.connect(folder).open_table("rows").count_rows()

    def merge(turn: int) -> object:
        merging = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        half = MERGED // 2
        return merging.execute(rows_of(size + turn * MERGED - half, MERGED))

    return {
        "open, count rows": opened,
        "exact top 10": lambda _: table.search(query).limit(10).to_arrow(),
        "top 10, where 1 % pass": lambda _: (
            table.search(query).where("price < ?", size // 100).limit(10).to_arrow()
        ),
        "rows where id = ?": lambda turn: table.search().where("id = ?", turn).to_arrow(),
        "count_rows(condition)": lambda _: table.count_rows("price < ?", size // 2),
        "order_by, first 10": lambda _: table.search().order_by("price").limit(10).to_arrow(),
        "add one row": lambda turn: table.add(rows_of(2 * size + turn, 1)),
        "update one row": lambda turn: table.update("id = 7", {"price": turn}),
        "delete one row": lambda turn: table.delete("id = ?", 100 + turn),
        f"merge {MERGED:,} rows, half new": merge,
    }


def cpu_ms(call: Call) -> float:
    """Return the CPU milliseconds of a call, the median of some."""
    call(0)
    taken = []
    for turn in range(1, ROUNDS + 1):
        start = time.process_time()
        call(turn)
        taken.append((time.process_time() - start) * 1000)
    return statistics.median(taken)


def measure(sizes: Sequence[int]) -> Times:
    """Return the milliseconds of each call at each size."""
    times: Times = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            database = embow.connect(folder)
            table = database.create_table("rows", rows_of(0, size))
            for name, call in calls(folder, table, size).items():
                times.setdefault(name, []).append(cpu_ms(call))
            database.close()
    return times


def exponent(sizes: Sequence[int], times: Sequence[float]) -> float:
    """Return the slope of a line through the points, both axes logarithmic."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def as_markdown(sizes: Sequence[int], times: Mapping[str, Sequence[float]]) -> str:
    """Return a table: CPU milliseconds by size, and the exponent."""
    head = " | ".join(f"{size:,}" for size in sizes)
    lines = [f"| CPU ms, rows: | {head} | exponent |", "|---|" + "--:|" * (len(sizes) + 1)]
    for name, each in times.items():
        cells = " | ".join(f"{value:.2f}" for value in each)
        lines.append(f"| {name} | {cells} | {exponent(sizes, each):.2f} |")
    return "\n".join(lines)


def as_svg(sizes: Sequence[int], times: Mapping[str, Sequence[float]]) -> str:
    """Return a plot of all calls, both axes logarithmic."""
    low = math.floor(math.log10(min(min(each) for each in times.values())))
    high = math.ceil(math.log10(max(max(each) for each in times.values())))
    first, last = math.log10(sizes[0]), math.log10(sizes[-1])

    def place(size: float, value: float) -> tuple[float, float]:
        x = 60 + 440 * (math.log10(size) - first) / max(last - first, 1e-9)
        return x, 20 + 400 * (high - math.log10(value)) / (high - low)

    parts: list[str] = []
    for power in range(low, high + 1):
        _, y = place(sizes[0], 10.0**power)
        parts.append(f'<line x1="60" x2="500" y1="{y:.0f}" y2="{y:.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="52" y="{y + 4:.0f}" text-anchor="end">{10.0**power:g}</text>')
    for size in sizes:
        x, _ = place(size, 10.0**low)
        parts.append(f'<text x="{x:.0f}" y="438" text-anchor="middle">{size:,}</text>')
    for at, (name, each) in enumerate(times.items()):
        colour = f"hsl({360 * at // len(times)} 70% 40%)"
        points = [place(*pair) for pair in zip(sizes, each, strict=True)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="515" y="{40 + 20 * at}" fill="{colour}">{name}</text>')
    title = '<text x="60" y="12">CPU milliseconds by rows in the table</text>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 450" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="720" height="450" fill="white"/>{title}{"".join(parts)}</svg>\n'
    )


def main() -> None:
    """Measure, print the table, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--plot", type=Path, help="SVG file to write")
    arguments: Any = parser.parse_args()
    times = measure(arguments.sizes)
    print(as_markdown(arguments.sizes, times))
    if arguments.plot:
        arguments.plot.write_text(as_svg(arguments.sizes, times), encoding="utf-8")


if __name__ == "__main__":
    main()
