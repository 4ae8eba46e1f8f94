"""The asynchronous face: nothing blocks the loop, nothing is left out, and a call can be ended."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embow
from embow._table import aio
from embow._table.reading import aio as queries
from embow._table.reading.hybrid import HybridSearch
from embow._table.reading.nearest import VectorSearch
from embow._table.reading.query import Query
from embow._table.reading.textual import TextSearch
from embow._table.versions import Tags
from embow._table.writing.merge import MergeInsert
from embow.engines._local.catalog import Catalog
from embow.engines.contract import EngineTable


class _Held:
    """Calls that wait until they are let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.free = threading.Event()
        self.sent: list[str] = []


HELD = _Held()


@embow.register("held")
class Held(embow.TextEmbeddingFunction):
    """Embeds once it is allowed to, two texts a request."""

    def ndims(self) -> int:
        """Return 2."""
        return 2

    def limits(self) -> Any:
        """Send two texts at a time, one request after the other."""
        return embow.embeddings.Limits(max_items=2, max_concurrency=1)

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Wait for the test."""
        HELD.sent.extend(texts)
        HELD.entered.set()
        assert HELD.free.wait(30)
        return np.ones((len(texts), 2), np.float32)


@pytest.fixture(autouse=True)
def held() -> Iterator[_Held]:
    """Let calls go from the start; a test may hold them."""
    HELD.sent.clear()
    HELD.entered.clear()
    HELD.free.set()
    yield HELD
    HELD.free.set()


def _schema() -> type[embow.Model]:
    function = Held.create()

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    return Words


async def _entered(task: asyncio.Task[Any]) -> None:
    """Wait until the provider is asked."""
    while not HELD.entered.is_set():
        assert not task.done(), task.exception()
        await asyncio.sleep(0)


def test_the_loop_runs_on_while_a_call_embeds(tmp_path: Path) -> None:
    """Other tasks finish while the provider is busy."""

    async def main() -> list[Any]:
        async with await embow.connect_async(tmp_path / "db") as db:
            table = await db.create_table("words", schema=_schema())
            HELD.free.clear()
            adding = asyncio.create_task(table.add([{"text": "a"}]))
            await _entered(adding)
            assert not adding.done()
            assert await table.count_rows() == 0
            HELD.free.set()
            await adding
            return await table.search("a").limit(1).to_list()

    rows = asyncio.run(main())
    assert rows[0]["text"] == "a"


def test_a_cancelled_call_sends_nothing_more_and_commits_nothing(tmp_path: Path) -> None:
    """What is on its way ends; the rows are not there, and the table can be used."""

    async def main() -> None:
        async with await embow.connect_async(tmp_path / "db") as db:
            table = await db.create_table("words", schema=_schema())
            HELD.free.clear()
            rows = [{"text": f"t{number}"} for number in range(100)]
            adding = asyncio.create_task(table.add(rows))
            await _entered(adding)
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding
            HELD.free.set()
            await db.close()
        async with await embow.connect_async(tmp_path / "db") as db:
            table = await db.open_table("words")
            assert await table.count_rows() == 0
            assert await table.version() == 1

    asyncio.run(main())
    assert len(HELD.sent) < 100


@pytest.mark.parametrize(("owner", "step"), [(EngineTable, "transact"), (Catalog, "write")])
def test_a_call_cancelled_before_its_commit_makes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, step: str
) -> None:
    """Also a call that embeds nothing, and one that waits for other writers."""
    planning, free = threading.Event(), threading.Event()
    plain = getattr(owner, step)

    def slow(self: Any, *given: Any, **options: Any) -> Any:
        planning.set()
        assert free.wait(30)
        return plain(self, *given, **options)

    async def main() -> None:
        async with await embow.connect_async(tmp_path / "db") as db:
            table = await db.create_table("t", [{"n": 1}])
            monkeypatch.setattr(owner, step, slow)
            deleting = asyncio.create_task(table.delete("n = 1"))
            while not planning.is_set():
                await asyncio.sleep(0)
            deleting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await deleting
            free.set()
        assert embow.connect(tmp_path / "db").open_table("t").count_rows() == 1

    asyncio.run(main())


def test_every_call_can_be_awaited(tmp_path: Path) -> None:
    """Writing, reading, versions and tags work, in every form of result."""

    async def main() -> None:
        async with await embow.connect_async(tmp_path / "db") as db:
            table = await db.create_table("words", [{"text": "a"}, {"text": "b"}], schema=_schema())
            await table.update(where="text = 'a'", values={"text": "c"})
            await table.delete("text = 'b'")
            again = await db.open_table("words")
            query = again.search("c").metric("cosine").select(["text"]).limit(1)
            assert (await query.to_arrow())["text"].to_pylist() == ["c"]
            assert (await query.to_pandas())["text"].tolist() == ["c"]
            assert (await query.to_polars())["text"].to_list() == ["c"]
            batches = await again.search().where("text = 'c'").to_batches()
            assert [batch.num_rows async for batch in batches] == [1]
            assert [batch.num_rows async for batch in await query.to_batches()] == [1]
            merge = table.merge_insert("text").when_not_matched_insert_all()
            assert (await merge.execute([{"text": "d"}])).num_inserted_rows == 1
            await table.tags.create("first", 1)
            await table.checkout("first")
            assert await table.version() == 1
            assert (await table.schema()).names == ["text", "vector"]
            await table.restore()
            assert (await table.to_arrow())["text"].to_pylist() == ["a", "b"]
            await db.rename_table(cur_name="words", new_name="more")
            assert await db.table_names() == ["more"]
            await db.drop_table("more")
            assert await db.table_names() == []

    asyncio.run(main())


def test_the_forms_of_lancedb_are_taken_too(tmp_path: Path) -> None:
    """A query may be awaited before it is refined, and an update says its values first."""

    async def main() -> None:
        async with await embow.connect_async(tmp_path / "db") as db:
            table = await db.create_table("words", [{"text": "a"}, {"text": "b"}], schema=_schema())
            assert len(await (await table.search("a")).limit(1).to_list()) == 1
            assert len(await (await table.search()).limit(2).to_list()) == 2
            await table.update({"text": "c"}, where="text = 'a'")
            await table.update(where="text = 'b'", updates_sql={"text": "upper(text)"})
            await table.update("text = 'B'", {"text": "d"})
            await table.update(updates={"text": "e"}, where="text = 'd'")
            assert (await table.to_arrow())["text"].to_pylist() == ["c", "e"]
            assert (await (await table.to_polars()).collect_async())["text"].to_list() == ["c", "e"]
            for twice in ({"updates": "true", "where": "true"}, {"updates": {}, "values": {}}):
                with pytest.raises(embow.errors.ConfigurationError, match="twice"):
                    await table.update(**twice)  # type: ignore[arg-type]
            with pytest.raises(embow.errors.ConfigurationError, match="at least one column"):
                await table.update(where="true")

    asyncio.run(main())


def test_a_database_is_closed_in_every_form(tmp_path: Path) -> None:
    """Awaited or not, and by either kind of with: the files are released."""

    async def main() -> None:
        databases = [await embow.connect_async(tmp_path / "db") for _ in range(4)]
        assert await databases[0].table_names() == []
        databases[0].close()
        await databases[1].close()
        with databases[2]:
            pass
        async with databases[3]:
            pass
        for db in databases:
            with pytest.raises(RuntimeError, match="shutdown"):
                await db.table_names()
            with pytest.raises(embow.errors.StorageError, match="closed"):
                db.sync.table_names()

    asyncio.run(main())


FACES = [
    (embow.Database, aio.AsyncDatabase, set()),
    (embow.Table, aio.AsyncTable, set()),
    (Query, queries.AsyncQuery, {"computed"}),
    (VectorSearch, queries.AsyncVectorSearch, {"computed"}),
    (TextSearch, queries.AsyncTextSearch, {"computed"}),
    (HybridSearch, queries.AsyncHybridSearch, {"computed"}),
    (MergeInsert, aio.AsyncMerge, set()),
    (Tags, aio.AsyncTags, set()),
]


OWN_FORMS = {"close", "update"}
"""What also takes or gives what LanceDB's asynchronous API does."""


def _public(face: type) -> set[str]:
    return {name for name in dir(face) if not name.startswith("_")}


@pytest.mark.parametrize(("one", "other", "values"), FACES)
def test_neither_face_falls_behind(one: type, other: type, values: set[str]) -> None:
    """What one has the other has, with the same signature and the same words in help()."""
    assert _public(one) - values <= _public(other)
    assert _public(other) - {"last_report", "uri"} <= _public(one)
    for name in _public(one) - values:
        plain, face = getattr(one, name), getattr(other, name)
        if callable(plain) and name not in OWN_FORMS:
            assert inspect.signature(face) == inspect.signature(plain), name
            assert inspect.getdoc(face) == inspect.getdoc(plain), name


def test_options_of_connect_are_passed_on(tmp_path: Path) -> None:
    """A mistake is the same one."""

    async def main() -> None:
        with pytest.raises(embow.errors.ConfigurationError, match="no-such-engine"):
            await embow.connect_async("no-such-engine://x")
        seen: list[Any] = []
        async with await embow.connect_async(tmp_path / "db", observers=[seen.append]) as db:
            await db.create_table("words", [{"text": "a"}], schema=_schema())
            assert repr(db).startswith("AsyncDatabase(")
        assert len(seen) == 1

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are spawned there")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own(tmp_path: Path) -> None:
    """The parent's, which the child lacks, are not waited for."""

    async def opened() -> embow.AsyncTable:
        db = await embow.connect_async(tmp_path / "db")
        return await db.create_table("words", [{"text": "a"}])

    table = asyncio.run(opened())
    pid = os.fork()
    if not pid:
        status = 1
        try:
            signal.alarm(10)
            status = asyncio.run(table.count_rows()) - 1
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def test_columns_and_keys_are_awaited(tmp_path: Path) -> None:
    """Each call of the synchronous table."""

    async def main() -> None:
        async with await embow.connect_async(tmp_path) as db:
            table = await db.create_table("t", [{"id": 1, "n": 2}], primary_key="id")
            assert await table.primary_key() == ("id",)
            assert (await table.add_columns({"m": "n * 2"})).version == 2
            await table.alter_columns({"path": "n", "rename": "k"})
            await table.drop_columns(["m"])
            await table.upsert([{"id": 1, "k": 3}, {"id": 2, "k": 4}])
            assert (await table.get([2, 1]))["k"].to_pylist() == [4, 3]
            assert (await table.delete(keys=[1])).num_deleted_rows == 1

    asyncio.run(main())
