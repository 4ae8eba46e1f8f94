"""LanceDB's Python spelling over embow: ``import embow_lancedb as lancedb``."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import embow
from embow.errors import ConfigurationError, UnsupportedOperationError, near_name
from embow_lancedb._arguments import refused
from embow_lancedb.common import URI, sanitize_uri
from embow_lancedb.db import AsyncConnection, DBConnection, LanceDBConnection, Session
from embow_lancedb.expr import Expr, col, func, lit
from embow_lancedb.index import FTS
from embow_lancedb.remote import RemoteDBConnection
from embow_lancedb.schema import blob, vector
from embow_lancedb.table import AsyncTable, LanceTable, Table
from embow_text import Analysis
from embow_text import Token as FtsToken
from embow_text import tokenize as text_tokens

__all__ = [
    "URI",
    "AsyncConnection",
    "AsyncTable",
    "DBConnection",
    "Expr",
    "FtsToken",
    "LanceDBConnection",
    "LanceTable",
    "RemoteDBConnection",
    "Session",
    "Table",
    "__version__",
    "blob",
    "col",
    "connect",
    "connect_async",
    "connect_namespace",
    "connect_namespace_async",
    "deserialize_conn",
    "func",
    "lit",
    "sanitize_uri",
    "tokenize",
    "vector",
]

__version__ = "0.40.0"
"""The release of LanceDB whose names these are; programs compare it."""

_IGNORED = {
    "api_key",
    "client_config",
    "host_override",
    "manifest_enabled",
    "oauth_config",
    "region",
    "request_thread_pool",
    "sql_host_override",
}
"""Settings of LanceDB's service, which programs also pass for folders."""
_NAMESPACES = "a database is a folder or the URI of an engine: connect('./mydb')."


def connect(
    uri: URI | None = None,
    *,
    read_consistency_interval: timedelta | None = None,
    storage_options: dict[str, str] | None = None,
    session: Session | None = None,
    trust: bool | Collection[str] = False,
    **settings: Any,
) -> LanceDBConnection:
    """Open a database, creating its folder where it does not exist.

    Args:
        uri: A folder, ``memory://``, or the URI of an engine plugin.
        read_consistency_interval: Not needed: every call reads the latest version.
        storage_options: Settings of an engine plugin.
        session: Not needed.
        trust: See ``embow.connect``.
        **settings: ``api_key``, ``region`` and the like, which LanceDB's service needs and a
            folder does not.

    Raises:
        ConfigurationError: The address is of LanceDB's service, or there is no such setting.
    """
    return LanceDBConnection(
        _address(uri, settings),
        read_consistency_interval=read_consistency_interval,
        storage_options=_options(uri, storage_options),
        session=session,
        trust=trust,
    )


async def connect_async(
    uri: URI,
    *,
    read_consistency_interval: timedelta | None = None,
    storage_options: dict[str, str] | None = None,
    session: Session | None = None,
    trust: bool | Collection[str] = False,
    **settings: Any,
) -> AsyncConnection:
    """Open a database without blocking the event loop. See :func:`connect`."""
    options = _options(uri, storage_options)
    core = await embow.connect_async(_address(uri, settings), trust=trust, storage_options=options)
    return AsyncConnection(core, read_consistency_interval)


connect_namespace = refused("connect_namespace", _NAMESPACES)
connect_namespace_async = refused("connect_namespace_async", _NAMESPACES)
connect_catalog = refused("connect_catalog", _NAMESPACES)
connect_catalog_async = refused("connect_catalog_async", _NAMESPACES)


def tokenize(query: str, **settings: Any) -> list[FtsToken]:
    """Return the words of a text as an index of these settings would hold them.

    Args:
        query: The text.
        **settings: Those of :class:`embow_lancedb.index.FTS`.
    """
    return text_tokens(query, Analysis(**FTS(**settings).as_embow().settings()))


def deserialize_conn(data: str, *, for_worker: bool = False) -> LanceDBConnection:
    """Open the database that ``DBConnection.serialize`` wrote down."""
    return connect(json.loads(data)["uri"])


def _address(uri: URI | None, settings: dict[str, Any]) -> URI:
    for name in settings:
        if name.startswith("namespace_client") and settings[name] is not None:
            raise UnsupportedOperationError(f"connect({name}=...): {_NAMESPACES}")
        if name not in _IGNORED and not name.startswith("namespace_client"):
            raise ConfigurationError(
                f"Unknown keyword arguments: connect has no {name!r}.{near_name(name, _IGNORED)}"
            )
    if uri is None:
        raise ConfigurationError("uri is required: connect('./mydb').")
    return uri


def _options(uri: URI | None, options: dict[str, str] | None) -> dict[str, str] | None:
    """Return the settings of an engine plugin; those of object stores mean nothing to a folder."""
    plain = "://" not in str(uri) or str(uri).startswith("memory://")
    return None if plain else options
