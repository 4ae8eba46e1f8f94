"""Several processes on one table, processes that are killed, and a disk that is full."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import embow


@pytest.fixture
def db(tmp_path: Path) -> Iterator[embow.Database]:
    """An empty database in a folder, which other processes open too."""
    with embow.connect(tmp_path / "db") as database:
        yield database


CHILD = """
import sys, signal, resource
import numpy as np
import embow

@embow.register("letters")
class Letters(embow.TextEmbeddingFunction):
    name: str = "letters-1"
    scale: float = 1.0
    def ndims(self):
        return 26
    def generate_embeddings(self, texts):
        for text in texts:
            if "refused" in text:
                raise embow.errors.BadInputError("refused")
        out = np.zeros((len(texts), 26), dtype=np.float32)
        for row, text in enumerate(texts):
            for letter in text.lower():
                if "a" <= letter <= "z":
                    out[row, ord(letter) - 97] += self.scale
        return out

table = embow.connect(sys.argv[1]).open_table("words")
me = sys.argv[2]
"""


def _child(tmp_path: Path, me: int, code: str) -> subprocess.Popen[str]:
    script = tmp_path / f"child{me}.py"
    script.write_text(CHILD + textwrap.dedent(code))
    return subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "db"), str(me)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _all_done(children: list[subprocess.Popen[str]]) -> None:
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors


def _tags(table: embow.Table) -> Counter[str]:
    return Counter(table.to_arrow().column("tag").to_pylist())


UPSERT = """
for i in range(12):
    rows = [{"tag": f"k{(k * 7 + i) % 20}", "text": f"t {me} {i} {k}"} for k in range(10)]
    merge = table.merge_insert("tag").when_matched_update_all().when_not_matched_insert_all()
    merge.execute(rows)
"""

ADD = """
for i in range(25):
    table.add([{"text": f"add {me} {i}", "tag": f"a-{me}-{i}"}])
"""

UPDATE = """
for i in range(12):
    table.update("tag = 'old'", {"text": f"update {me} {i}"})
"""

MIGRATE = """
table.migrate("vector", Letters.create(scale=2.0))
"""


def test_merges_of_one_key_by_four_processes_insert_it_once(
    tmp_path: Path, words: embow.Table
) -> None:
    """Two merges that both find a key missing do not both insert it."""
    _all_done([_child(tmp_path, me, UPSERT) for me in range(4)])
    assert set(_tags(words).values()) == {1}
    assert len(words) == 20
    assert words.verify().ok


def test_updates_of_one_row_by_four_processes_all_succeed(
    tmp_path: Path, words: embow.Table
) -> None:
    """A writer that was too late does its work again until it fits."""
    words.add([{"text": f"row {i}", "tag": "old"} for i in range(4)])
    _all_done([_child(tmp_path, me, UPDATE) for me in range(4)])
    assert _tags(words) == {"old": 4}
    assert words.verify().ok


def test_a_migration_ends_while_others_write(tmp_path: Path, words: embow.Table) -> None:
    """Rows of busy writers are caught up with, and no row keeps a vector of the old model."""
    words.add([{"text": f"row {i}", "tag": "old"} for i in range(4)])
    writers = [_child(tmp_path, me, code) for me, code in enumerate([UPDATE, UPSERT])]
    migration = _child(tmp_path, 2, MIGRATE)
    _all_done([*writers, migration])
    assert len(words) == 24
    assert words.verify().ok
    assert words.verify(remote=True).columns["vector"].drift == pytest.approx(1.0)


RACE = """
print("ready", flush=True)
sys.stdin.readline()
done = 0
while done < 15:
    try:
        table.add([{"text": f"race {me} {done} {k}", "tag": f"r-{me}-{done}"} for k in range(3)])
        done += 1
    except embow.errors.CommitConflictError:
        table = embow.connect(sys.argv[1]).open_table("words")
"""


def test_no_racing_writer_gets_a_row_of_the_old_model_in(
    tmp_path: Path, words: embow.Table, letters: Any
) -> None:
    """Three adders and a migration start together; in the end every vector is the new model's."""
    words.add([{"text": f"row {i}", "tag": "old"} for i in range(50)])
    children = [_child(tmp_path, me, RACE) for me in range(3)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    words.migrate("vector", letters.create(scale=2.0))
    _all_done(children)
    rows = words.to_arrow().to_pylist()
    assert len(rows) == 50 + 3 * 15 * 3
    expected = letters.create(scale=2.0).generate_embeddings([row["text"] for row in rows])
    assert [row["vector"] for row in rows] == expected.tolist()
    assert words.verify().ok


RETRY = """
for i in range(6):
    table.add([{"text": f"refused {me} {i}", "tag": f"q-{me}-{i}"}], on_error="quarantine")
    table.retry_failed()
"""


def test_failed_rows_are_retried_by_several_processes(tmp_path: Path, words: embow.Table) -> None:
    """Each failed row stays in quarantine once."""
    _all_done([_child(tmp_path, me, RETRY) for me in range(3)])
    kept = Counter(words.failed_rows().column("tag").to_pylist())
    assert kept == {f"q-{me}-{i}": 1 for me in range(3) for i in range(6)}


ENDLESS = """
print("ready", flush=True)
i = 0
while True:
    i += 1
    rows = [{"text": f"new {me} {i} {k}", "tag": f"a-{me}-{i}"} for k in range(20)]
    rows.append({"text": f"refused {me} {i}", "tag": f"a-{me}-{i}"})
    table.add(rows, on_error="quarantine")
    print(i, flush=True)
    if i % 3 == 0:
        table.update(f"tag = 'a-{me}-{i}'", {"text": f"changed {me} {i}"})
"""


@pytest.mark.parametrize("lines", [1, 3, 4])
def test_a_killed_add_leaves_all_of_it_or_nothing(
    tmp_path: Path, words: embow.Table, lines: int
) -> None:
    """Quarantined rows come just before those stored; what was acknowledged is there."""
    child = _child(tmp_path, 0, ENDLESS)
    assert child.stdout is not None
    seen = [child.stdout.readline().strip() for _ in range(lines)]
    child.send_signal(signal.SIGKILL)
    seen += child.communicate()[0].split()
    tags, failed = _tags(words), Counter(words.failed_rows().column("tag").to_pylist())
    assert set(tags.values()) <= {20}
    assert set(tags) <= set(failed)
    assert len(failed) - len(tags) in (0, 1)
    assert set(failed.values()) <= {1}
    assert {f"a-0-{number}" for number in seen if number.isdigit()} <= set(tags)
    assert words.verify().ok


DYING = """
import os
from embow.engines.contract import EngineTable
commit = EngineTable.commit
left = int(me)

def dying(self, change):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return commit(self, change)

EngineTable.commit = dying
"""


@pytest.mark.parametrize("before", range(3))
def test_an_add_killed_before_any_of_its_commits_can_be_made_again(
    tmp_path: Path, words: embow.Table, letters: Any, before: int
) -> None:
    """The failed row waits once, whether it was stored before the end or not."""
    rows = [{"text": "fine", "tag": "1"}, {"text": "refused", "tag": "2"}]
    child = _child(tmp_path, before, DYING + f"table.add({rows}, on_error='quarantine')")
    child.communicate()
    assert child.returncode in (0, -signal.SIGKILL)
    assert _tags(words) in ({}, {"1": 1})
    if not len(words):
        letters.refuse.add("refused")
        words.add(rows, on_error="quarantine")
    assert _tags(words) == {"1": 1}
    assert words.failed_rows()["tag"].to_pylist() == ["2"]


@pytest.mark.parametrize("before", range(5))
def test_a_retry_killed_before_any_of_its_commits_adds_each_row_once(
    tmp_path: Path, words: embow.Table, letters: Any, before: int
) -> None:
    """Wherever it ends, the next call brings in what is missing, and nothing twice."""
    letters.refuse.update({"one", "two"})
    words.add([{"text": "one"}, {"text": "two"}, {"text": "three"}], on_error="quarantine")
    letters.refuse.clear()
    child = _child(tmp_path, before, DYING + "table.retry_failed()")
    child.communicate()
    assert child.returncode in (0, -signal.SIGKILL)
    words.retry_failed()
    assert sorted(words.to_arrow()["text"].to_pylist()) == ["one", "three", "two"]
    assert len(words.failed_rows()) == 0
    assert words.verify().ok


ENDLESS_MIGRATION = """
print("ready", flush=True)
for i in range(2, 1000):
    table.migrate("vector", Letters.create(scale=float(i)))
    print(i, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2])
def test_a_killed_migration_can_be_made_again_and_rolled_back(
    tmp_path: Path, words: embow.Table, letters: Any, lines: int
) -> None:
    """The table stays whole, a new migration ends, and the way back is open."""
    words.add([{"text": f"row {i}", "tag": str(i)} for i in range(300)])
    child = _child(tmp_path, 0, ENDLESS_MIGRATION)
    assert child.stdout is not None
    for _ in range(lines):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert words.verify().ok
    before = words.embedding_functions["vector"].function
    words.migrate("vector", letters.create(scale=0.5))
    words.rollback("vector")
    assert words.embedding_functions["vector"].function == before
    assert words.verify().ok


FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
rows = [{"text": f"new {i} " + "x" * 40, "tag": str(i)} for i in range(8000)]
calls = {
    "add": lambda: table.add([*rows, {"text": "refused"}], on_error="quarantine"),
    "migrate": lambda: table.migrate("vector", Letters.create(scale=2.0)),
}
for name, call in calls.items():
    try:
        call()
    except embow.errors.StorageError as exc:
        print(name, exc)
"""


def test_a_full_disk_is_named_and_changes_nothing(tmp_path: Path, words: embow.Table) -> None:
    """Adding and migrating fail with the path and the cause, and can be made again."""
    words.add([{"text": f"row {i}", "tag": str(i)} for i in range(8000)])
    child = _child(tmp_path, 0, FULL)
    out, errors = child.communicate()
    assert [line.split()[0] for line in out.splitlines()] == ["add", "migrate"], errors
    assert all("would pass the size limit" in line for line in out.splitlines())
    assert (len(words), words.failed_rows().num_rows) == (8000, 0)
    assert words.verify().ok
