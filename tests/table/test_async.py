"""The asynchronous face: nothing blocks the loop, and the same tables are behind it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np

import embow


class _Held:
    """Calls that wait until they are let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.free = threading.Event()


HELD = _Held()


@embow.register("held")
class Held(embow.TextEmbeddingFunction):
    """Embeds once it is allowed to."""

    def ndims(self) -> int:
        """Return 2."""
        return 2

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Wait for the test."""
        HELD.entered.set()
        assert HELD.free.wait(30)
        return np.ones((len(texts), 2), np.float32)


def _schema() -> type[embow.Model]:
    function = Held.create()

    class Words(embow.Model):
        text: str = function.SourceField()
        vector: embow.Vector = function.VectorField()

    return Words


def test_the_loop_runs_on_while_a_call_embeds(tmp_path: Path) -> None:
    """Other tasks finish while the provider is busy."""

    async def main() -> list[Any]:
        async with await embow.connect_async(tmp_path / "db") as db:
            table = await db.create_table("words", schema=_schema())
            adding = asyncio.create_task(table.add([{"text": "a"}]))
            while not HELD.entered.is_set():
                assert not adding.done(), adding.exception()
                await asyncio.sleep(0)
            assert not adding.done()
            assert await table.count_rows() == 0
            HELD.free.set()
            await adding
            return await table.search("a").limit(1).ato_list()

    HELD.entered.clear()
    HELD.free.clear()
    rows = asyncio.run(main())
    assert rows[0]["text"] == "a"


def test_every_call_has_its_twin(tmp_path: Path) -> None:
    """Update, delete, open, list and drop work by awaiting them."""

    async def main() -> None:
        HELD.free.set()
        async with await embow.connect_async(tmp_path / "db") as db:
            table = await db.create_table("words", [{"text": "a"}, {"text": "b"}], schema=_schema())
            await table.update(where="text = 'a'", values={"text": "c"})
            await table.delete("text = 'b'")
            again = await db.open_table("words")
            assert (await again.search().ato_arrow())["text"].to_pylist() == ["c"]
            assert (await again.search("c").ato_pandas())["text"].tolist() == ["c"]
            assert (await again.search("c").ato_polars())["text"].to_list() == ["c"]
            assert await db.table_names() == ["words"]
            await db.drop_table("words")
            assert await db.table_names() == []

    asyncio.run(main())
