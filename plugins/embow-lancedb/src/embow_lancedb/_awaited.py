"""The results of a query, awaited."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import BaseModel

from embow_lancedb._building import Building
from embow_lancedb._limits import within
from embow_lancedb._told import ask
from embow_lancedb.util import flatten_columns

M = TypeVar("M", bound=BaseModel)


class AwaitedResults(Building):
    """A query whose results are awaited."""

    async def asked(self) -> Any:
        """Return embow's query."""
        return ask(self.table, self.told)

    async def _run(self, form: str, *args: Any) -> Any:
        return await getattr(await self.asked(), form)(*args)

    async def to_arrow(self, timeout: timedelta | None = None) -> pa.Table:
        """Run the query and return an Arrow table.

        Raises:
            TimeLimitError: It took longer than ``timeout``.
        """
        return await within(timeout, self._run("to_arrow"))

    async def to_batches(
        self, *, max_batch_length: int | None = None, timeout: timedelta | None = None
    ) -> Any:
        """Run the query and return its record batches, for ``async for``."""
        return await within(timeout, self._run("to_batches", max_batch_length))

    async def to_list(self, timeout: timedelta | None = None) -> list[dict[str, Any]]:
        """Run the query and return one dict a row."""
        return list((await self.to_arrow(timeout)).to_pylist())

    async def to_pandas(
        self,
        flatten: int | bool | None = None,
        timeout: timedelta | None = None,
        *,
        blob_mode: str = "lazy",
        **kwargs: Any,
    ) -> Any:
        """Run the query and return a pandas DataFrame; see the synchronous builder."""
        return flatten_columns(await self.to_arrow(timeout), flatten).to_pandas(**kwargs)

    async def to_polars(self, timeout: timedelta | None = None) -> Any:
        """Run the query and return a polars DataFrame."""
        return await within(timeout, self._run("to_polars"))

    async def to_pydantic(self, model: type[M], *, timeout: timedelta | None = None) -> list[M]:
        """Run the query and return one object of the model a row."""
        call: Awaitable[list[M]] = self._run("to_pydantic", model)
        return await within(timeout, call)

    async def output_schema(self) -> pa.Schema:
        """Run the query and return the schema of its result."""
        return (await self.to_batches()).schema

    async def explain_plan(self, verbose: bool = False) -> str:
        """Return how the query would be run."""
        return str(await self._run("explain_plan"))

    async def analyze_plan(self, distributed_metrics: str = "aggregate") -> str:
        """Run the query and return what it did."""
        return str(await self._run("analyze_plan"))
