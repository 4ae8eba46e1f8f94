"""Words are found rightly whoever dies while an index grows, and whoever writes meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import embow
from embow.engines._local.faults import POINTS
from embow.index import FTS
from formula import Rows, close, expected

PLAIN = FTS(stem=False, remove_stop_words=False)

CHILD = """
import os, signal, sys
import embow
from datetime import timedelta
from embow.engines._local import faults
from embow.index import FTS

folder, operation, point, skip = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
table = embow.connect(folder, storage_options={"small_rows": 3}).open_table("t")
plain = FTS(stem=False, remove_stop_words=False)
operations = {
    "create": lambda: table.create_index("text", plain, replace=True),
    "extend": table._handle.stored.extend_indexes,
    "optimize": lambda: table.optimize(timedelta(0)),
    "drop": lambda: table.drop_index("text_idx"),
}

def hook(name):
    global skip
    if name == point:
        if skip == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        skip -= 1

faults.set_hook(hook)
operations[operation]()
print("met no such point")
"""

CASES = [
    (operation, point, skip)
    for operation in ("create", "extend", "optimize", "drop")
    for point in POINTS
    for skip in (0, 1)
    if not skip or operation == "optimize"
]


def text(number: int) -> str:
    """Return the words of a row."""
    return " ".join(f"w{number % part}" for part in (2, 3, 5))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table of which some rows are indexed, some deleted since, and some came later."""
    with embow.connect(tmp_path, storage_options={"small_rows": 3}) as db:
        table = db.create_table("t", [{"id": n, "text": text(n)} for n in range(20)])
        table.create_index("text", PLAIN)
        table.delete("id % 4 = 1")
        table.add([{"id": n, "text": text(n)} for n in range(20, 30)])
        table.add([{"id": 30, "text": text(30)}])
    return tmp_path


def found(table: embow.Table, word: str) -> dict[int, float]:
    """Return the score of each row that is found."""
    rows = table.search(word, query_type="fts").limit(None).to_list()
    return {row["id"]: row["_score"] for row in rows}


def right(table: embow.Table, rows: Rows) -> bool:
    """Return whether a table finds what the formula does."""
    words = ("w0", "w1", "w4")
    return all(
        close(found(table, word), expected(rows, [word], lambda there, w=word: w in there))
        for word in words
    )


@pytest.mark.parametrize(("operation", "point", "skip"), CASES)
def test_a_killed_index_gives_right_answers(
    folder: Path, operation: str, point: str, skip: int
) -> None:
    """Killed at any step the table answers by its rows, and what was begun is finished later."""
    arguments = [sys.executable, "-c", CHILD, str(folder), operation, point, str(skip)]
    child = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if child.returncode != -signal.SIGKILL:
        assert child.stdout == "met no such point\n", child.stderr
    rows: Rows = {n: text(n) for n in range(31) if n >= 20 or n % 4 != 1}
    with embow.connect(folder) as db:
        table = db.open_table("t")
        if not table.list_indices():
            table.create_index("text", PLAIN)
        assert right(table, rows)
        table.optimize()
        assert right(table, rows)
        pieces = sum(each.pieces for each in table._handle.stored.indexes())
    assert len(list(folder.glob("data/*/*.index"))) == pieces


WRITER = """
import sys
import embow

folder, first = sys.argv[1], int(sys.argv[2])
table = embow.connect(folder, storage_options={"small_rows": 3, "tail_rows": 10}).open_table("t")
for n in range(first, first + 60, 3):
    texts = [" ".join(f"w{m % part}" for part in (2, 3, 5)) for m in range(n, n + 3)]
    table.add([{"id": n + at, "text": text} for at, text in enumerate(texts)])
    if n % 4 == 0:
        table.delete(f"id = {n}")
    if n % 5 == 0:
        table.optimize()
print("done")
"""


def test_two_writers_and_two_readers_agree(folder: Path) -> None:
    """Whatever a reader sees is one version, whole, and scored by it."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(first)], stdout=subprocess.PIPE
        )
        for first in (100, 200)
    ]
    with embow.connect(folder) as one, embow.connect(folder) as other:
        tables = [one.open_table("t"), other.open_table("t")]
        looked = 0
        while any(writer.poll() is None for writer in writers) or not looked:
            for table in tables:
                table.checkout(table.version)
                rows = {row["id"]: row["text"] for row in table.search().to_list()}
                assert right(table, rows)
                table.checkout_latest()
                looked += 1
        assert [writer.communicate()[0] for writer in writers] == [b"done\n"] * 2
        rows = {row["id"]: row["text"] for row in tables[0].search().to_list()}
        assert right(tables[0], rows)
        tables[1].optimize()
        assert right(tables[1], rows)


WITHOUT = """
import sys, warnings
import embow
from importlib_metadata import EntryPoints
import embow.plugins._loader as loader

known = loader.entry_points
loader.entry_points = lambda **o: EntryPoints(e for e in known(**o) if e.name != "text")
warnings.simplefilter("ignore")
table = embow.connect(sys.argv[1]).open_table("t")
table.add([{"id": 50, "text": "w0 w9"}])
assert table.count_rows("text LIKE '%w9%'") == 1
try:
    table.search("w0", query_type="fts").to_list()
except embow.errors.PluginError as error:
    print(error)
"""


def test_without_its_library_words_are_refused_with_the_way_out(folder: Path) -> None:
    """All else works, rows can be added, and with the library again all of them are found."""
    child = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(folder)], capture_output=True, text=True, check=False
    )
    assert 'pip install "embow[text]"' in child.stdout, child.stderr
    with embow.connect(folder) as db:
        assert list(found(db.open_table("t"), "w9")) == [50]
