"""``embow demo``: search the Python standard library by meaning.

Shows declare, add and search on real text that every Python brings along: nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from platformdirs import user_data_path

import embow
from embow.errors import ConfigurationError
from embow_onnx import stdlib_docs

SAMPLE_QUESTIONS = (
    "run a shell command and capture its output",
    "remove a folder and everything in it",
    "open a web page in the browser",
)

_MAX_WIDTH = 100
_PREFIX = "stdlib-"
"""Begins the name of every table the demo makes: it touches no other."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the parser of ``embow demo``."""
    parser.set_defaults(run=run)
    parser.description = (
        "Embed the docstrings of the Python standard library on this machine, then answer a "
        "question from them. Nothing is downloaded. The first run takes under a minute; later "
        "runs use the stored table."
    )
    parser.add_argument(
        "question",
        nargs="?",
        help="what you look for, in your own words; - reads one from each line of standard input",
    )
    parser.add_argument("--db", type=Path, metavar="FOLDER", help="where the table is kept")
    parser.add_argument("--limit", type=int, default=5, metavar="N", help="answers to show (5)")
    parser.add_argument(
        "--remove", action="store_true", help="remove the table again, and answer nothing"
    )


def run(args: argparse.Namespace) -> int:
    """Answer the question, or three sample questions. Returns the exit status.

    Raises:
        ConfigurationError: The question is to come from standard input, and none came.
    """
    if args.remove:
        remove(args.db)
        return 0
    questions = _questions(args.question)
    table = open_or_build(args.db or default_folder())
    for question in questions:
        started = time.perf_counter()
        answers = search(table, question, args.limit)
        elapsed = time.perf_counter() - started
        print(f"\n{question}\n")
        print(render(answers))
        print(f"\nAnswered from {table.count_rows():,} docstrings in {1000 * elapsed:.0f} ms.")
    if not args.question:
        print('\nAsk your own: embow demo "sort a list"')
    return 0


def default_folder() -> Path:
    """Return where the table is kept: among the user's data of programs."""
    return Path(user_data_path("embow", appauthor=False)) / "demo"


def remove(folder: Path | None) -> None:
    """Drop the demo's tables; the default folder goes with them where nothing else is in it."""
    place = folder or default_folder()
    db = embow.connect(place) if (place / "catalog.sqlite").is_file() else None
    names = [name for name in db.table_names() if name.startswith(_PREFIX)] if db else []
    if db is not None:
        for name in names:
            db.drop_table(name)
        others = db.table_names()
        db.close()
        if folder is None and not others:
            shutil.rmtree(place)
    print(f"Removed {', '.join(names)} from {place}." if names else f"No table of it in {place}.")


def _questions(given: str | None) -> Sequence[str]:
    if given != "-":
        return [given] if given else SAMPLE_QUESTIONS
    questions = [line.strip() for line in sys.stdin if line.strip()]
    if not questions:
        raise ConfigurationError("No question came in on standard input: write one a line.")
    return questions


def open_or_build(folder: Path, docs: Sequence[stdlib_docs.Docstring] | None = None) -> Any:
    """Open the table of this Python version, or embed the docstrings into a new one."""
    folder.mkdir(parents=True, exist_ok=True)
    db = embow.connect(folder)
    name = table_name()
    if name in db.table_names():
        table = db.open_table(name)
        if table.count_rows():
            return table
    table = build(db, name, stdlib_docs.collect() if docs is None else docs)
    for other in db.table_names():
        if other.startswith(_PREFIX) and other != name:
            db.drop_table(other)  # made by another version of Python
    return table


def build(db: Any, name: str, docs: Sequence[stdlib_docs.Docstring]) -> Any:
    """Declare the schema and add the docstrings: the whole of embow in ten lines."""
    func = embow.get_registry().get("onnx").create()

    class Entry(embow.Model):
        name: str
        summary: str
        text: str = func.SourceField()
        vector: embow.Vector = func.VectorField()

    print(
        f"Embedding {len(docs):,} docstrings of Python {platform.python_version()} "
        "on this machine (first run only):",
        file=sys.stderr,
    )
    table = db.create_table(name, schema=Entry, mode="overwrite")
    table.add([{"name": d.name, "summary": d.text, "text": f"{d.name}: {d.text}"} for d in docs])
    return table


def search(table: Any, question: str, limit: int) -> list[dict[str, Any]]:
    """Return the nearest docstrings, each with ``name``, ``summary`` and ``_distance``."""
    rows: list[dict[str, Any]] = (
        table.search(question).metric("cosine").select(["name", "summary"]).limit(limit).to_list()
    )
    return rows


def table_name() -> str:
    """Return the name of the table that belongs to this version of Python."""
    return _PREFIX + platform.python_version()


def render(rows: Sequence[dict[str, Any]], width: int | None = None) -> str:
    """Lay answers out as a table at most ``width`` columns wide (default: the terminal's)."""
    width = width or min(shutil.get_terminal_size((80, 24)).columns, _MAX_WIDTH)
    names = [_shorten_name(row["name"], width * 2 // 5) for row in rows]
    name_width = max(map(len, ["name", *names]))
    text_width = max(10, width - name_width - 18)
    line = f"{{:>2}}  {{}}  {{:{text_width}}}  {{:>10}}".format
    lines = [
        line("#", f"{'name':{name_width}}", "what it does", "similarity"),
        "─" * max(width, name_width + text_width + 18),
    ]
    for rank, (row, name) in enumerate(zip(rows, names, strict=True), start=1):
        first, *rest = textwrap.wrap(
            row["summary"], text_width, max_lines=2, placeholder=" …", break_on_hyphens=False
        )
        lines.append(
            line(rank, _bold(f"{name:{name_width}}"), first, f"{1 - row['_distance']:.2f}")
        )
        lines += [line("", " " * name_width, more, "").rstrip() for more in rest]
    return "\n".join(lines)


def _shorten_name(name: str, length: int) -> str:
    """Keep the end of a long dotted name, which says most."""
    return name if len(name) <= length else "…" + name[1 - length :]


def _bold(text: str) -> str:
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    return text if plain else f"\x1b[1m{text}\x1b[0m"
