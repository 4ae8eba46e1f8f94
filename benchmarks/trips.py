"""How far one call travels: calls inside embow, and transactions of its SQLite files.

    python benchmarks/trips.py [--remote]

A table of 200 rows with an instant provider: one on this machine, or one that counts as remote,
whose vectors are cached. For each operation: calls of Python functions of the package ``embow`` in
all threads, how many different functions and modules they belong to, and the transactions of the
catalog and of the embedding cache (reads + writes). Counts are the least of several repetitions;
the first of its kind stands for itself. Nothing is timed.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import embow

DIMS = 8
ROWS = 200
REPEATS = 5
PACKAGE = str(Path(embow.__file__).parent)
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER")


class Instant(embow.TextEmbeddingFunction):
    """Answers at once."""

    remote = False

    def ndims(self) -> int:
        """Return the length of the vectors."""
        return DIMS

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return vectors that differ by length of text."""
        return np.array([[len(text) + at for at in range(DIMS)] for text in texts], "f4")


@dataclass
class Trip:
    """What one operation did."""

    codes: Counter[CodeType] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """Return calls, functions, modules, and transactions of both files."""
        codes = +self.codes
        modules = {code.co_filename for code in codes}
        numbers = f"{codes.total():7,} {len(codes):9,} {len(modules):7,}"
        files = (
            f"{self.reads[name]:7} + {self.writes[name]}"
            for name in ("catalog.sqlite", "cache.sqlite")
        )
        return f"{numbers} {' '.join(files)}"


class Recorder:
    """Fills the trip that is on its way."""

    def __init__(self) -> None:
        self.trip = Trip()

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """Count a call of a function of the package; bodies of modules and classes are none."""
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            self.trip.codes[code] += bool(code.co_flags & CO_OPTIMIZED)

    def measure(self, work: Callable[[], object]) -> Trip:
        """Return what a call does."""
        self.trip = Trip()
        threading.setprofile(self.profile)
        sys.setprofile(self.profile)
        try:
            work()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
        return self.trip


class Statements:
    """Tells the transactions of one connection apart by its statements."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self._recorder = recorder
        self._name = name
        self._open = self._writing = False

    def __call__(self, statement: str) -> None:
        """Note a statement."""
        first = statement.split(None, 1)[0].upper()
        trip = self._recorder.trip
        if first in ("PRAGMA", "--", "SAVEPOINT", "RELEASE"):
            return
        if first in ("COMMIT", "END", "ROLLBACK"):
            self._open = False
            return
        begins = first == "BEGIN"
        writes = first in _WRITES or (begins and "IMMEDIATE" in statement.upper())
        if begins or not self._open:  # a statement by itself is a transaction too
            trip.reads[self._name] += 1
            self._open, self._writing = begins, False
        if writes and not self._writing:
            trip.reads[self._name] -= 1
            trip.writes[self._name] += 1
            self._writing = self._open


def watch_sqlite(recorder: Recorder) -> None:
    """Have every connection opened from now on tell its statements."""
    plain = sqlite3.connect

    def connect(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
        connection = plain(database, *args, **options)
        name = Path(str(database).removeprefix("file:").partition("?")[0]).name
        connection.set_trace_callback(Statements(recorder, name))
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]


class RemoteInstant(Instant):
    """The same, as if it were on a server."""

    remote = True


def open_table(folder: str, provider: type[Instant]) -> embow.Table:
    """Return an empty table with an id, a text and its vector."""
    function = embow.register("instant")(provider).create()

    class Row(embow.Model):
        id: int
        text: str = function.SourceField()
        vector: embow.Vector(DIMS) = function.VectorField()  # type: ignore[valid-type]

    return embow.connect(folder).create_table("rows", schema=Row)


def row(number: int) -> list[dict[str, Any]]:
    """Return one row that was not there."""
    return [{"id": number, "text": "word " * (number % 50) + str(number)}]


def operations(table: embow.Table) -> dict[str, Callable[[int], object]]:
    """Return what is measured; each takes a number that was not used before."""
    vector = np.arange(DIMS, dtype="f4")
    return {
        "add one row": lambda n: table.add(row(n)),
        "search(text)": lambda n: table.search(f"query {n}").limit(3).to_list(),
        "search(vector)": lambda n: table.search(vector).limit(3).to_list(),
        "update one row": lambda n: table.update(where="id = 7", values={"text": f"new {n}"}),
        "merge one row": lambda n: (
            table.merge_insert("id")
            .when_matched_update_all()
            .when_not_matched_insert_all()
            .execute([{"id": 8, "text": f"merged {n}"}])
        ),
        "repr": lambda n: repr(table),
    }


def report(table: embow.Table, recorder: Recorder) -> None:
    """Print a line for each operation."""
    print(f"{'':22}{'calls':>7} {'functions':>9} {'modules':>7} {'catalog':>11} {'cache':>11}")
    first = recorder.measure(lambda: table.add(row(0)))
    print(f"{'add one row, first':22}{first.line()}")
    table.add([each for number in range(1, ROWS) for each in row(number)])
    for name, work in operations(table).items():
        work(ROWS)
        trips = [recorder.measure(partial(work, ROWS + n)) for n in range(1, REPEATS + 1)]
        least = min(trips, key=lambda trip: trip.codes.total())
        print(f"{name:22}{least.line()}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Count what one call does.")
    parser.add_argument("--remote", action="store_true", help="a provider whose vectors are cached")
    provider = RemoteInstant if parser.parse_args().remote else Instant
    recorder = Recorder()
    watch_sqlite(recorder)
    with tempfile.TemporaryDirectory() as folder:
        report(open_table(folder, provider), recorder)


if __name__ == "__main__":
    main()
