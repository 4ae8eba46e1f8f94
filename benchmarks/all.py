"""Run every benchmark of this folder, and write one page with what each printed and the plot.

    python benchmarks/all.py [--quick] [--texts FOLDER] [--titles FILE] [--out FOLDER] [name ...]

The page is ``report.md`` in the folder ``benchmark-report``, beside ``growth.svg``. ``--quick``
takes small sizes, to see that all still run. ``--texts`` names a folder of apt's lists for the
search of real texts (`text.py` says how to fetch it), ``--titles`` the file that `retrieval.py`
reads. With names, such as ``growth trips``, only these are run. What needs a package that is
missing is left out, and the page says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One script.

    Attributes:
        name: Of the script.
        says: What it measures.
        quick: Arguments for a short run.
        needs: Packages that must be there.
        plots: Whether it takes ``--plot``.
        reads: The option of this script that names what it reads; nothing where empty.
    """

    name: str
    says: str
    quick: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    plots: bool = False
    reads: str = ""


TORCH = ("torch", "sentence_transformers")
BENCHMARKS = (
    Benchmark("trips", "calls inside embow, and transactions, of one call"),
    Benchmark(
        "growth",
        "how each call grows with the table, 10 thousand to a million rows",
        ("--sizes", "1000", "10000"),
        plots=True,
    ),
    Benchmark("search", "exact search beside numpy, faiss and reading", ("--rows", "10000")),
    Benchmark("engine", "first search and appends beside Arrow", ("--rows", "10000")),
    Benchmark("kinds", "search by kind of vector", ("--rows", "10000")),
    Benchmark("index", "an index of vectors: recall, time, size", ("5000",), ("faiss",)),
    Benchmark("text", "search for words, over real texts", reads="texts"),
    Benchmark("retrieval", "what is found by titles of texts", reads="titles"),
    Benchmark("hybrid", "a hybrid search beside its halves", ("--rows", "5000")),
    Benchmark(
        "retrieval",
        "how often each kind of search finds what was meant",
        ("--rows", "200", "--queries", "20"),
        ("onnxruntime",),
        reads=True,
    ),
    Benchmark("writes", "adding, merging, updating, deleting, disk", ("--rows", "20000")),
    Benchmark("wide", "long lists in filters, wide tables, imports"),
    Benchmark("pipeline", "ingestion beside writing files", ("--rows", "5000", "--rounds", "1")),
    Benchmark("openai_latency", "requests in parallel", ("--rows", "2000"), ("openai",)),
    Benchmark("providers", "MiniLM by onnxruntime and by torch", ("--rounds", "1"), TORCH),
    Benchmark("torch_table", "torch through a table", ("--rounds", "1"), TORCH),
)


def run(benchmark: Benchmark, arguments: Any) -> str:
    """Run a script and return its part of the page."""
    script = FOLDER / f"{benchmark.name}.py"
    extra = list(benchmark.quick) if arguments.quick else []
    missing = [name for name in benchmark.needs if importlib.util.find_spec(name) is None]
    head = f"## {benchmark.name}\n\nWhat it measures: {benchmark.says}.\n\n"
    if not script.exists():
        return f"{head}Not here.\n"
    if missing:
        return f"{head}Left out: {', '.join(missing)} is not installed.\n"
    if benchmark.reads:
        given = getattr(arguments, benchmark.reads)
        if given is None:
            return f"{head}Left out: there is nothing to read (`--{benchmark.reads}`).\n"
        extra.append(str(given))
    picture = ""
    if benchmark.plots:
        plot = arguments.out / f"{benchmark.name}.svg"
        extra += ["--plot", str(plot)]
        picture = f"![{benchmark.says}]({plot.name})\n\n"
    started = time.monotonic()
    command = [sys.executable, str(script), *extra]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    spent = f"`{' '.join([script.name, *extra])}`, {time.monotonic() - started:.0f} s.\n\n"
    if done.returncode:
        return f"{head}{spent}Failed:\n\n```text\n{done.stderr[-2000:].strip()}\n```\n"
    text = done.stdout.strip("\n")
    shown = text if text.startswith("|") else f"```text\n{text}\n```"
    return f"{head}{spent}{picture}{shown}\n"


def machine() -> str:
    """Return what the figures were made on."""
    import numpy as np
    import pyarrow as pa

    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}, numpy {np.__version__}, pyarrow {pa.__version__}. "
        "Ratios within a run are what to read: other work on the machine moves both sides."
    )


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """Return the benchmarks asked for, all without any.

    Raises:
        SystemExit: There is none of a name.
    """
    known = {each.name: each for each in BENCHMARKS}
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"No benchmark {', '.join(unknown)}. There are: {', '.join(known)}.")
    return [known[name] for name in names or known]


def main() -> int:
    """Run what was asked for, write the page, and return 1 where a script failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--texts", type=Path, help="folder of apt's lists")
    parser.add_argument("--titles", type=Path, help="Arrow file of titles and texts")
    parser.add_argument("--out", type=Path, default=Path("benchmark-report"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts = [f"# What embow costs\n\n{machine()}\n"]
    for benchmark in chosen(arguments.names):
        print(benchmark.name, flush=True)
        parts.append(run(benchmark, arguments))
    page = arguments.out / "report.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    print(page)
    return int(any("\nFailed:\n" in part for part in parts))


if __name__ == "__main__":
    sys.exit(main())
