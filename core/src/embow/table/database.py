"""A database: tables of one engine, one pipeline and one cache.

``embow.connect`` makes one. This module and ``table`` are the only places where engines and
embedding functions meet.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar

import pyarrow as pa

from embow.engines.base import Engine, EngineTable
from embow.errors import ConfigurationError, TableExistsError, TableNotFoundError
from embow.pipeline import AddReport, Pipeline, RequestEvent
from embow.plugins import discovery
from embow.table.bindings import TableSchema
from embow.table.canary import keep_canaries
from embow.table.committing import committing
from embow.table.inputs import iter_batches
from embow.table.provenance import is_hidden
from embow.table.quarantine import Quarantine
from embow.table.settings import TableSettings, pipeline_options
from embow.table.table import Table
from embow.table.vectors import BadVectorPolicy, OnBadVectors

if TYPE_CHECKING:
    from embow.embeddings import EmbeddingFunctionConfig

Observer = Callable[[RequestEvent], None]
P = ParamSpec("P")
T = TypeVar("T")

_TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]+\Z")
_THREADS = 32


class Database:
    """Tables under one folder or URI. Use it from as many threads as you like.

    Example:
        >>> import embow, tempfile
        >>> db = embow.connect(tempfile.mkdtemp())
        >>> table = db.create_table("fruit", [{"name": "apple"}, {"name": "pear"}])
        >>> db.table_names()
        ['fruit']
    """

    def __init__(self, uri: str, engine: Engine, observers: Sequence[Observer] = ()) -> None:
        self.uri = uri
        self._engine = engine
        watching = (*discovery.observers(), *observers)
        self._pipeline = Pipeline(engine.side_path("cache.sqlite"), observers=watching)
        self._threads: ThreadPoolExecutor | None = None

    # -- reading the list of tables -------------------------------------------------------

    def table_names(self, page_token: str | None = None, limit: int | None = None) -> list[str]:
        """Return the names of the tables, sorted.

        Args:
            page_token: Return names after this one.
            limit: Return at most so many; all where it is ``None``.
        """
        names = [name for name in self._engine.table_names() if not is_hidden(name)]
        if page_token is not None:
            names = [name for name in names if name > page_token]
        return names if limit is None else names[:limit]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table_names())

    def __len__(self) -> int:
        return len(self.table_names())

    def __contains__(self, name: object) -> bool:
        return name in self.table_names()

    def __getitem__(self, name: str) -> Table:
        return self.open_table(name)

    def __reduce__(self) -> Any:
        raise TypeError(
            "A Database holds open files and cannot be sent to another process. Send its uri and "
            "call embow.connect(uri) there."
        )

    def __repr__(self) -> str:
        return f"Database({self.uri!r})"

    # -- tables -----------------------------------------------------------------------------

    def create_table(
        self,
        name: str,
        data: Any = None,
        schema: Any = None,
        mode: Literal["create", "overwrite"] = "create",
        exist_ok: bool = False,
        on_bad_vectors: OnBadVectors = "error",
        fill_value: float = 0.0,
        embedding_functions: Sequence[EmbeddingFunctionConfig] | None = None,
        *,
        on_error: str | None = None,
        on_long: str | None = None,
        **options: Any,
    ) -> Table:
        """Create a table, with its first rows where ``data`` is given, in one commit.

        Args:
            name: Letters, digits, ``_``, ``-`` and ``.``.
            data: Rows in any form that :meth:`Table.add` takes.
            schema: A :class:`embow.Model` class or an Arrow schema; read off the data if ``None``.
            mode: ``"overwrite"`` replaces a table of that name.
            exist_ok: Open the table instead if it exists and its schema is the same. The data is
                then not added and nothing is embedded.
            on_bad_vectors: See :meth:`Table.add`.
            fill_value: See :meth:`Table.add`.
            embedding_functions: Functions to bind to columns of an Arrow schema.
            on_error: Default of :meth:`Table.add` for this table, kept with it.
            on_long: Default of :meth:`Table.add` for this table, kept with it.
            **options: Other settings of :meth:`Table.add` for the first rows.

        Raises:
            TableExistsError: The name is taken.
            SchemaError: The schema cannot be built, or differs from the existing table's.
            EmbeddingError: A row could not be embedded; no table was created.
        """
        _check_name(name)
        if mode not in ("create", "overwrite"):
            raise ConfigurationError(f"mode={mode!r}: mode must be either 'create' or 'overwrite'.")
        settings = TableSettings(on_error=on_error, on_long=on_long)
        if mode == "create" and name in self._engine.table_names():
            if not exist_ok:
                raise TableExistsError(
                    f"Table {name!r} already exists. Open it with open_table({name!r}), or replace "
                    "it with mode='overwrite'."
                )
            return self._open_checked(name, schema, embedding_functions)
        batches = iter_batches(data, None) if schema is None and data is not None else None
        declared, data = TableSchema.declare(name, schema, embedding_functions, batches, data)
        policy = BadVectorPolicy(on_bad_vectors, fill_value)
        return self._create(name, declared, data, mode, settings, policy, options)

    def _create(
        self,
        name: str,
        declared: TableSchema,
        data: Any,
        mode: str,
        settings: TableSettings,
        policy: BadVectorPolicy,
        options: dict[str, Any],
    ) -> Table:
        stored = settings.into(declared.physical)
        chosen = pipeline_options(settings, **options)
        quarantine = Quarantine(self._engine, name, declared.visible)
        report = AddReport()
        writing = declared.ingest(self._pipeline, chosen, policy, quarantine)
        batches = writing.batches(data, report)
        overwrite = mode == "overwrite"
        concerned = quarantine.is_concerned
        with committing(self._engine, batches, quarantine.start_over, concerned) as rows:
            engine_table = self._engine.create_table(name, stored, rows, overwrite=overwrite)
        table = Table(self, engine_table)
        keep_canaries(engine_table, writing.canaries, declared.bindings)
        report.version = table.version
        table.last_report = report
        return table

    def _open_checked(
        self, name: str, schema: Any, functions: Sequence[EmbeddingFunctionConfig] | None
    ) -> Table:
        table = self.open_table(name)
        if schema is not None:
            declared, _ = TableSchema.declare(name, schema, functions, None, None)
            table._columns().require_same(declared, name)
        return table

    def open_table(self, name: str, *, schema: Any = None) -> Table:
        """Open a table.

        Args:
            name: Its name.
            schema: A model class the table must agree with, embedding functions included.

        Raises:
            TableNotFoundError: There is none of that name; the message lists those there are.
            IdentityMismatchError: ``schema`` embeds a column with another model.
        """
        if schema is not None:
            return self._open_checked(name, schema, None)
        return Table(self, self._opened(name))

    def _opened(self, name: str) -> EngineTable:
        if is_hidden(str(name)):
            raise TableNotFoundError(self._not_found(name))
        try:
            return self._engine.open_table(name)
        except TableNotFoundError:
            raise TableNotFoundError(self._not_found(name)) from None

    def drop_table(self, name: str, ignore_missing: bool = False) -> None:
        """Remove a table with its rows, and its quarantined rows.

        Raises:
            TableNotFoundError: There is none of that name and ``ignore_missing`` is false.
        """
        if name not in self:
            if ignore_missing:
                return
            raise TableNotFoundError(self._not_found(name))
        # First, so that a table made under this name after a crash does not find them.
        Quarantine(self._engine, name, pa.schema([])).drop()
        self._engine.drop_table(name)

    def drop_all_tables(self) -> None:
        """Remove every table."""
        for name in self._engine.table_names():
            self._engine.drop_table(name)

    def rename_table(self, name: str, new_name: str) -> None:
        """Give a table another name.

        Raises:
            TableNotFoundError: There is none of that name.
            TableExistsError: The new name is taken.
        """
        _check_name(new_name)
        if name not in self:
            raise TableNotFoundError(self._not_found(name))
        with self._engine.atomic():
            Quarantine(self._engine, name, pa.schema([])).rename(new_name)
            self._engine.rename_table(name, new_name)

    def _not_found(self, name: str) -> str:
        names = ", ".join(self.table_names()) or "none"
        return f"Table {name!r} was not found in {self.uri}. Tables there: {names}."

    # -- threads and closing ----------------------------------------------------------------

    async def _in_thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call on the database's own threads, so that no event loop waits."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="embow")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(call, *args, **kwargs))

    def close(self) -> None:
        """Release files and threads. Tables of a closed database must not be used."""
        if self._threads is not None:
            self._threads.shutdown(wait=True)
        self._pipeline.close()
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _TABLE_NAME.match(name) or is_hidden(name):
        raise ConfigurationError(
            f"Invalid table name {name!r}: it may contain only letters, digits, underscores, "
            "hyphens and periods, and may not begin with '_embow'."
        )
