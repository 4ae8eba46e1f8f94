"""How often each kind of search finds what was meant: titles in search of their texts.

Run ``python benchmarks/retrieval.py LISTS``, a folder of apt's lists, which `text.py` says how to
fetch: descriptions of Debian packages, each with a title. Or hand over an Arrow file of your own
with the columns ``title`` and ``text``. The texts become a table; some titles are searched for,
and what counts is the place of the text they belong to.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from text import descriptions

import embow
from embow.index import FTS
from embow.rerankers import LinearCombinationReranker, MRRReranker, Reranker, RRFReranker

TOP = 10


def read(texts: Path) -> pa.Table:
    """Return titles and texts of a folder of lists, or of a file."""
    if texts.is_dir():
        titles, bodies = descriptions(texts)
        return pa.table({"title": titles, "text": bodies})
    with pa.memory_map(str(texts)) as source:
        return pa.ipc.open_file(source).read_all()


def main() -> None:
    """Fill a table, search for titles, and print a line for each kind of search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, help="folder of apt's lists, or an Arrow file")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--queries", type=int, default=400)
    options = parser.parse_args()
    rows = read(options.texts)
    random = np.random.default_rng(0)
    rows = rows.take(random.choice(rows.num_rows, options.rows, replace=False))
    function = embow.get_registry().get("onnx").create()
    table = embow.connect("memory://").create_table(
        "texts", rows.select(["text"]).append_column("n", pa.array(range(rows.num_rows)))
    )
    table.add_embedding("vector", source="text", function=function)
    table.create_index("text", config=FTS())
    chosen = random.choice(options.rows, options.queries, replace=False).tolist()
    titles = [rows["title"][n].as_py() for n in chosen]
    vectors = [function.compute_query_embeddings(title)[0] for title in titles]

    def hybrid(reranker: Reranker) -> Callable[[int], Any]:
        def search(at: int) -> Any:
            query = table.search(query_type="hybrid").vector(vectors[at]).text(titles[at])
            return query.metric("cosine").rerank(reranker)

        return search

    kinds: dict[str, Callable[[int], Any]] = {
        "vectors": lambda at: table.search(vectors[at]).metric("cosine"),
        "words": lambda at: table.search(titles[at], query_type="fts"),
        "RRF": hybrid(RRFReranker()),
        "RRF, K=10": hybrid(RRFReranker(K=10)),
        "MRR": hybrid(MRRReranker()),
        "linear .7": hybrid(LinearCombinationReranker()),
        "linear .5": hybrid(LinearCombinationReranker(weight=0.5)),
    }
    print(f"{options.rows:,} texts, {options.queries} titles; first {TOP} rows")
    print(f"{'':<12}{'recall':>8}{'MRR':>8}{'nDCG':>8}")
    for name, search in kinds.items():
        ranks = []
        for at, wanted in enumerate(chosen):
            found = [row["n"] for row in search(at).select(["n"]).limit(TOP).to_list()]
            ranks.append(found.index(wanted) + 1 if wanted in found else np.inf)
        place = np.array(ranks)
        gain = np.where(np.isfinite(place), 1 / np.log2(place + 1), 0)
        recall, mrr = np.isfinite(place).mean(), (1 / place).mean()
        print(f"{name:<12}{recall:8.3f}{mrr:8.3f}{gain.mean():8.3f}")


if __name__ == "__main__":
    main()
