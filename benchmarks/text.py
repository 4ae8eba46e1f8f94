"""What a search for words costs through a table, and through LanceDB's where it is installed.

``apt-get update -o Dir::State::lists=./lists -o Acquire::Languages=en`` fetches the descriptions
of all Debian packages, 60,000 real texts; ``python benchmarks/text.py lists`` searches them.
CPU time (user and system) of this process is the measure. Both sides get the same rows, settings
and queries, and return the ids of ten rows with their scores.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

import embow
import embow.query
from embow.index import FTS

QUERIES = 40
ROUNDS = 3
Side = dict[str, Callable[[str], Any]]


def descriptions(lists: Path) -> tuple[list[str], list[str]]:
    """Return the titles and long descriptions of packages, each text once."""
    found: dict[str, str] = {}
    for file in sorted(lists.glob("*Translation-en*")):
        command = ["/usr/lib/apt/apt-helper", "cat-file", str(file)]
        data = subprocess.run(command, capture_output=True, check=True).stdout.decode()
        for paragraph in data.split("\n\n"):
            title, _, body = paragraph.partition("Description-en:")[2].partition("\n")
            text = "\n".join(line[1:] for line in body.split("\n") if line.strip() != ".")
            if text:
                found.setdefault(text, title.strip())
    return list(found.values()), list(found)


def words(title: str, count: int) -> str:
    """Return the first words of a title."""
    return " ".join(re.findall(r"[a-z0-9]+", title.lower())[:count])


def last(title: str) -> str:
    """Return its last word."""
    return words(title, 99).split()[-1]


def side_of(table: Any, queries: Any, every: Any) -> Side:
    """Return how each kind of query is asked; the calls are the same on both sides.

    Args:
        table: Of embow or LanceDB.
        queries: The module of its queries.
        every: Its operator for all words.
    """

    def ask(query: Any, where: str | None = None) -> Any:
        search = table.search(query, query_type="fts").limit(10).select(["id", "_score"])
        return (search if where is None else search.where(where)).to_arrow()

    match, phrase = queries.MatchQuery, queries.PhraseQuery
    return {
        "a word": lambda title: ask(match(last(title), "text")),
        "one of three": lambda title: ask(words(title, 3)),
        "two words": lambda title: ask(match(words(title, 2), "text", operator=every)),
        "a phrase": lambda title: ask(phrase(words(title, 2), "text")),
        "one letter off": lambda title: ask(match(last(title), "text", fuzziness=1)),
        "of 1 % of the rows": lambda title: ask(words(title, 3), "id % 100 = 7"),
        "of half of the rows": lambda title: ask(words(title, 3), "id % 2 = 0"),
    }


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU milliseconds a call takes."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def timed(sides: dict[str, Side], titles: list[str]) -> Iterator[tuple[str, list[list[float]]]]:
    """Yield each kind of query and what it took on each side, taking turns."""
    for kind in next(iter(sides.values())):
        taken: list[list[float]] = [[] for _ in sides]
        for number in range(ROUNDS + 1):
            for title in titles:
                for each, side in zip(taken, sides.values(), strict=True):
                    spent = cpu(partial(side[kind], title))
                    if number:  # The first round warms up.
                        each.append(spent)
        yield kind, taken


def row(name: str, *cells: str) -> None:
    """Print a row of a table."""
    print("| " + " | ".join([name, *cells]) + " |")


def told(taken: list[float]) -> str:
    """Return the median, and what all but a twentieth stay below."""
    return f"{statistics.median(taken):.2f} / {statistics.quantiles(taken, n=20)[-1]:.2f}"


def main() -> None:
    """Build both, search both, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lists", type=Path, help="folder of apt's lists, Translation-en among them")
    titles, texts = descriptions(parser.parse_args().lists)
    rows = pa.table({"id": pa.array(range(len(texts))), "text": texts})
    random.seed(3)
    long = [title for title in titles if len(words(title, 9).split()) >= 3 and title.isascii()]
    asked = random.sample(long, QUERIES)
    folder = Path(tempfile.mkdtemp())
    warnings.simplefilter("ignore")
    try:
        table = embow.connect(folder / "embow").create_table("t", rows)
        built = [cpu(lambda: table.create_index("text", FTS(with_position=True)))]
        sides = {"embow": side_of(table, embow.query, embow.query.Operator.AND)}
        others = []
        try:
            import lancedb
            import lancedb.query
        except ImportError:
            print("LanceDB is not installed.")
        else:
            theirs = lancedb.connect(folder / "lancedb").create_table("t", rows)
            built.append(cpu(lambda: theirs.create_fts_index("text", with_position=True)))
            every = lancedb.query.FullTextOperator.AND
            sides[f"LanceDB {lancedb.__version__}"] = side_of(theirs, lancedb.query, every)
            others = [theirs]
        print(f"{len(texts):,} texts, {sum(map(len, texts)) / 1e6:.0f} MB; CPU ms, p50 / p95")
        row("", *sides)
        row("---", *("---" for _ in sides))
        row("the index is built", *(f"{each:,.0f}" for each in built))
        for kind, taken in timed(sides, asked):
            row(kind, *map(told, taken))
        more = pa.table({"id": range(-1000, 0), "text": texts[:1000]})
        for each in (table, *others):
            each.add(more)
        first = [cpu(partial(side["a word"], asked[0])) for side in sides.values()]
        row("the first after 1,000 more rows", *(f"{each:.1f}" for each in first))
        later = {name: {"then one of three": side["one of three"]} for name, side in sides.items()}
        for kind, taken in timed(later, asked):
            row(kind, *map(told, taken))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
