"""What joining costs: a hybrid search beside its two halves made by themselves.

Run ``python benchmarks/hybrid.py``; ``--texts FILE`` takes the column ``text`` of an Arrow file in
the place of texts made up here. CPU time (user and system) of this process is the measure; searches
take turns, and medians are shown. The limit: at most half a millisecond above the sum.
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

import embow
from embow.index import FTS
from embow.rerankers import LinearCombinationReranker, MRRReranker

LIMIT_MS = 0.5
POOL = 50


def made_up(count: int) -> list[str]:
    """Return texts of ten to sixty words, as common as words are in a language."""
    random = np.random.default_rng(1)
    ranks = np.minimum(random.zipf(1.3, count * 35), 50_000)
    cuts = np.cumsum(random.integers(10, 60, count)) % len(ranks)
    return [" ".join(f"w{rank}" for rank in ranks[at : at + 35]) for at in cuts]


def filled(folder: str, texts: list[str], dimensions: int) -> embow.Table:
    """Return a table of texts with random vectors and a full-text index."""
    vectors = np.random.default_rng(2).standard_normal((len(texts), dimensions), dtype=np.float32)
    rows = pa.table(
        {
            "n": pa.array(range(len(texts))),
            "text": pa.array(texts, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), dimensions),
        }
    )
    table = embow.connect(folder).create_table("texts", rows)
    table.create_index("text", config=FTS())
    return table


def turns(rounds: int, sides: dict[str, Callable[[int], Any]]) -> dict[str, list[float]]:
    """Return the CPU milliseconds of each side in each round, after one to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):
        for name, side in sides.items():
            started = time.process_time()
            side(number)
            if number >= 0:
                taken[name].append((time.process_time() - started) * 1000)
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--texts", help="Arrow file with a column text")
    options = parser.parse_args()
    if options.texts:
        with pa.memory_map(options.texts) as source:
            texts = pa.ipc.open_file(source).read_all()["text"].to_pylist()[: options.rows]
    else:
        texts = made_up(options.rows)
    random = np.random.default_rng(3)
    vectors = random.standard_normal((options.rounds + 1, options.dimensions), dtype=np.float32)
    words = [
        " ".join(texts[at].split()[:3]) for at in random.integers(len(texts), size=len(vectors))
    ]
    with tempfile.TemporaryDirectory() as folder:
        table = filled(folder, texts, options.dimensions)

        def near(number: int) -> Any:
            return table.search(vectors[number]).limit(POOL).select(["n"]).to_arrow()

        def fit(number: int) -> Any:
            query = table.search(words[number], query_type="fts")
            return query.limit(POOL).select(["n"]).to_arrow()

        def both(number: int) -> Any:
            query = table.search(query_type="hybrid").vector(vectors[number]).text(words[number])
            return query.select(["n"])

        sides: dict[str, Callable[[int], Any]] = {
            "vector half": near,
            "text half": fit,
            "hybrid, RRF": lambda number: both(number).to_arrow(),
            "hybrid, linear": lambda n: both(n).rerank(LinearCombinationReranker()).to_arrow(),
            "hybrid, MRR": lambda n: both(n).rerank(MRRReranker()).to_arrow(),
        }
        taken = turns(options.rounds, sides)
        halves = [a + b for a, b in zip(taken["vector half"], taken["text half"], strict=True)]
        print(f"{len(texts):,} rows of {options.dimensions} dimensions; CPU ms, median")
        for name, each in taken.items():
            beside = ""
            if name.startswith("hybrid"):
                more = statistics.median(a - b for a, b in zip(each, halves, strict=True))
                beside = f"{more:+.2f} beside the sum of its parts; limit +{LIMIT_MS:.2f}"
            print(f"  {name:<16}{statistics.median(each):8.2f}   {beside}")


if __name__ == "__main__":
    main()
