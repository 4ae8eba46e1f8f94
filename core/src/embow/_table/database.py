"""A database: tables of one engine, one pipeline and one cache.

``embow.connect`` makes one. This module and ``table`` are the only places where engines and
embedding functions meet.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, Unpack

from embow._table.declaration import declared, require_same
from embow._table.handle import Context
from embow._table.incoming.vectors import BadVectorPolicy, OnBadVectors
from embow._table.names import is_hidden
from embow._table.settings import LimitOptions, TableSettings
from embow._table.table import Table
from embow._table.writing import adding
from embow._table.writing.ingest import Ingest
from embow._table.writing.quarantine import Quarantine
from embow._table.writing.retry import name_quarantine
from embow.embeddings import EmbeddingFunctionConfig
from embow.embeddings._trust import Trust
from embow.engines.contract import Engine, EngineTable, check_table_name
from embow.errors import ConfigurationError, TableExistsError, TableNotFoundError, near_name
from embow.pipeline import Pipeline, RequestEvent
from embow.pipeline._cache import cache_file, default_cache_path
from embow.pipeline._types import OnError, OnLong
from embow.plugins import _discovery as discovery

Observer = Callable[[RequestEvent], None]


class Database:
    """Tables under one folder or URI. Use it from as many threads as you like.

    Example:
        >>> import embow, tempfile
        >>> db = embow.connect(tempfile.mkdtemp())
        >>> table = db.create_table("fruit", [{"name": "apple"}, {"name": "pear"}])
        >>> db.table_names()
        ['fruit']
    """

    def __init__(
        self,
        uri: str,
        engine: Engine,
        observers: Sequence[Observer] = (),
        trust: bool | Collection[str] = False,
    ) -> None:
        self.uri = uri
        pipeline = Pipeline(_cache_path(engine), observers=(*discovery.observers(), *observers))
        self._context = Context(engine, pipeline, Trust.of(trust))

    # -- reading the list of tables -------------------------------------------------------

    def table_names(self, page_token: str | None = None, limit: int | None = None) -> list[str]:
        """Return the names of the tables, sorted.

        Args:
            page_token: Return names after this one.
            limit: Return at most so many; all where it is ``None``.
        """
        names = [name for name in self._context.engine.table_names() if not is_hidden(name)]
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
        primary_key: str | Sequence[str] | None = None,
        on_error: OnError | None = None,
        on_long: OnLong | None = None,
        **options: Unpack[LimitOptions],
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
            primary_key: Column or columns that tell rows apart: none may be null, and no two rows
                may have the same. Those that the model marks with ``KeyField`` if ``None``.
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
        if mode == "create" and name in self:
            if not exist_ok:
                raise TableExistsError(
                    f"Table {name!r} already exists. Open it with open_table({name!r}), or replace "
                    "it with mode='overwrite'."
                )
            return self._open_checked(name, schema, embedding_functions, primary_key)
        columns, data = declared(name, schema, embedding_functions, data, settings, primary_key)
        policy = BadVectorPolicy(on_bad_vectors, fill_value)
        context = self._context
        settled = context.options(columns, options, policy.on_error)
        writing = Ingest(context, columns, settled, policy)
        try:
            stored, report = adding.create(name, writing, data, overwrite=mode == "overwrite")
        except TableExistsError:
            if not exist_ok:
                raise
            # Another worker that starts at the same moment was first.
            return self._open_checked(name, schema, embedding_functions, primary_key)
        table = Table(context.handle(stored))
        table.last_report = report
        return table

    def _open_checked(
        self,
        name: str,
        schema: Any,
        functions: Sequence[EmbeddingFunctionConfig] | None,
        primary_key: str | Sequence[str] | None = None,
    ) -> Table:
        handle = self._context.handle(self._opened(name))
        if schema is not None:
            given, _ = declared(name, schema, functions, primary_key=primary_key)
            require_same(handle.look(), given, name)
        return Table(handle)

    def open_table(
        self, name: str, version: int | str | None = None, *, schema: Any = None
    ) -> Table:
        """Open a table.

        Args:
            name: Its name.
            version: Number or tag of the version to check out; the latest where it is ``None``.
            schema: A model class the table must agree with, embedding functions included.

        Raises:
            TableNotFoundError: There is none of that name; the message lists those there are.
            VersionNotFoundError: There is no such version, or no longer.
            IdentityMismatchError: ``schema`` embeds a column with another model.
        """
        table = self._open_checked(name, schema, None)
        if version is not None:
            table.checkout(version)
        return table

    def _opened(self, name: str) -> EngineTable:
        if not isinstance(name, str):
            raise ConfigurationError(f"A table is opened by its name, not by {name!r:.60}.")
        if is_hidden(name):
            raise self._not_found(name)
        try:
            return self._context.engine.open_table(name)
        except (TableNotFoundError, UnicodeEncodeError):  # No name that can be stored.
            raise self._not_found(name) from None

    def drop_table(self, name: str, ignore_missing: bool = False) -> None:
        """Remove a table with its rows, and its quarantined rows.

        Raises:
            TableNotFoundError: There is none of that name and ``ignore_missing`` is false.
        """
        try:
            handle = self._context.handle(self._opened(name))
            # First, so that a table made under this name after a crash does not find them.
            Quarantine.of(handle.engine, handle.look(), handle.stored).drop()
            self._context.engine.drop_table(name)
        except TableNotFoundError:
            if not ignore_missing:
                raise

    def drop_all_tables(self) -> None:
        """Remove every table."""
        for name in self.table_names():
            self.drop_table(name, ignore_missing=True)

    def rename_table(self, cur_name: str, new_name: str) -> None:
        """Give a table another name.

        Raises:
            TableNotFoundError: There is none of that name.
            TableExistsError: The new name is taken.
        """
        _check_name(new_name)
        name_quarantine(self._context.handle(self._opened(cur_name)), cur_name)
        self._context.engine.rename_table(cur_name, new_name)

    def _not_found(self, name: str) -> TableNotFoundError:
        names = self.table_names()
        return TableNotFoundError(
            f"Table {name!r} was not found in {self.uri}.{near_name(str(name), names)} "
            f"Tables there: {', '.join(names) or 'none'}."
        )

    def reset_limits(self) -> None:
        """Forget what providers' servers said of rates, pauses and sizes, for all their accounts.

        They are called again at once. This holds for the whole process, and for others that share
        this database's cache file.
        """
        self._context.pipeline.reset_limits()

    def close(self) -> None:
        """Release files. Tables of a closed database must not be used."""
        self._context.pipeline.close()
        self._context.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _cache_path(engine: Engine) -> Path:
    """Return where the cache lies: with the database, else one for all such databases of a user."""
    if engine.folder is not None:
        path = engine.folder / "cache.sqlite"
        if not path.is_symlink():  # One leads out of the folder, which may be a stranger's.
            return path
    return cache_file(None) or default_cache_path()


def _check_name(name: str) -> None:
    check_table_name(name)
    if is_hidden(name):
        raise ConfigurationError(
            f"Invalid table name {name!r}: names that begin with '_embow' are kept for the tables "
            "that embow adds itself."
        )
