"""Words looked for after random operations, against BM25 written from its formula."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import embow
from embow.index import FTS
from embow.query import MatchQuery, Operator, PhraseQuery
from formula import Rows, close, expected, has_phrase

SMALL = {"block_rows": 8, "fragment_bytes": 4096, "small_rows": 3, "tail_rows": 10}
"""Sizes at which a few rows already make blocks, files and a tail that overflows."""

PLAIN = FTS(stem=False, remove_stop_words=False, with_position=True)
WORDS = ("aa", "ab", "b", "cc", "dd")
TEXT = st.none() | st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
TEXTS = st.lists(TEXT, max_size=10)
ASKED = st.lists(st.sampled_from([*WORDS, "ee"]), min_size=1, max_size=3)

SCHEMA = pa.schema(
    {"id": pa.int64(), "text": pa.string(), "deep": pa.struct({"a": pa.struct({"b": pa.string()})})}
)


def cells(text: str | None) -> dict[str, Any]:
    """Return a text as the value of a column, and within a struct that may be null."""
    return {"text": text, "deep": None if text is None else {"a": {"b": text}}}


class WordsAgainstFormula(RuleBasedStateMachine):
    """In every version, however its rows lie in pieces, scores are those of its rows."""

    folder = ""

    @initialize(
        texts=TEXTS,
        local=st.booleans(),
        early=st.booleans(),
        column=st.sampled_from(["text", "deep.a.b"]),
    )
    def create(self, texts: list[str | None], local: bool, early: bool, column: str) -> None:
        self.column = column
        if local:
            self.folder = tempfile.mkdtemp()
        self.last = 0
        self.db = self.connect()
        rows = self.numbered(texts)
        self.table = self.db.create_table("t", rows, schema=SCHEMA)
        self.rows: Rows = {row["id"]: row["text"] for row in rows}
        self.kept = {self.table.version: dict(self.rows)}
        self.indexed = False
        if early:
            self.index()

    def connect(self) -> embow.Database:
        if not self.folder:
            return embow.connect("memory://")
        return embow.connect(self.folder, storage_options=SMALL)

    def numbered(self, texts: list[str | None]) -> list[dict[str, Any]]:
        first, self.last = self.last, self.last + len(texts)
        return [{"id": first + at, **cells(text)} for at, text in enumerate(texts)]

    def changed(self) -> None:
        self.kept[self.table.version] = dict(self.rows)

    @rule(texts=TEXTS)
    def add(self, texts: list[str | None]) -> None:
        rows = self.numbered(texts)
        self.table.add(rows)
        self.rows |= {row["id"]: row["text"] for row in rows}
        self.changed()

    @rule(every=st.integers(2, 4), rest=st.integers(0, 3))
    def delete(self, every: int, rest: int) -> None:
        self.table.delete(f"id % {every} = {rest}")
        self.rows = {key: text for key, text in self.rows.items() if key % every != rest}
        self.changed()

    @rule(every=st.integers(2, 4), text=TEXT)
    def update(self, every: int, text: str | None) -> None:
        self.table.update(f"id % {every} = 1", cells(text))
        self.rows |= dict.fromkeys((key for key in self.rows if key % every == 1), text)
        self.changed()

    @rule()
    def index(self) -> None:
        self.table.create_index(self.column, PLAIN, replace=True)
        self.indexed = True

    @rule(keep=st.booleans())
    def optimize(self, keep: bool) -> None:
        self.table.optimize(None if keep else timedelta(0))
        there = {each["version"] for each in self.table.list_versions()}
        self.kept = {version: rows for version, rows in self.kept.items() if version in there}

    @rule(choice=st.randoms(use_true_random=False))
    def restore(self, choice: Any) -> None:
        version = choice.choice(sorted(self.kept))
        self.table.restore(version)
        self.rows = dict(self.kept[version])
        self.changed()

    @precondition(lambda self: self.folder)
    @rule()
    def reopen(self) -> None:
        self.db.close()
        self.db = self.connect()
        self.table = self.db.open_table("t")

    @precondition(lambda self: self.indexed)
    @rule(words=ASKED, choice=st.randoms(use_true_random=False))
    def look_back(self, words: list[str], choice: Any) -> None:
        version = choice.choice(sorted(self.kept))
        self.table.checkout(version)
        try:
            self.check(words, self.kept[version])
        finally:
            self.table.checkout_latest()

    @precondition(lambda self: self.indexed)
    @rule(words=ASKED)
    def look(self, words: list[str]) -> None:
        self.check(words, self.rows)

    def check(self, words: list[str], rows: Rows) -> None:
        wanted = expected(rows, words, lambda there: bool({*words} & {*there}))
        assert close(self.found(" ".join(words)), wanted)
        among = {key: score for key, score in wanted.items() if key % 3 == 0}
        assert close(self.found(" ".join(words), "id % 3 = 0"), among)
        every = expected(rows, words, lambda there: {*words} <= {*there})
        assert close(self.found(MatchQuery(" ".join(words), operator=Operator.AND)), every)
        phrase = expected(rows, words, lambda there: has_phrase(there, words))
        assert close(self.found(PhraseQuery(" ".join(words))), phrase)

    def found(self, query: Any, where: str | None = None) -> dict[int, float]:
        search = self.table.search(query, query_type="fts").limit(None).select(["id"])
        found = (search if where is None else search.where(where)).to_list()
        scores = [row["_score"] for row in found]
        assert all(better >= worse for better, worse in pairwise(scores))
        limited = self.table.search(query, query_type="fts").limit(2).select(["id"])
        if where is None:
            assert limited.to_list() == found[:2]
        return {row["id"]: row["_score"] for row in found}

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        if hasattr(self, "rows"):
            assert self.table.count_rows() == len(self.rows)

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.db.close()
        if self.folder:
            shutil.rmtree(self.folder)


TestWords = WordsAgainstFormula.TestCase
TestWords.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
