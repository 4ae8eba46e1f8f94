"""From a folder or URI to a database.

``embow.connect`` is the one function here. It finds the engine; everything else is ``Database``'s.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from embow._table.database import Database, Observer
from embow.engines.contract import EngineOptions
from embow.errors import ConfigurationError
from embow.plugins._engines import engine_for


def connect(
    uri: str | os.PathLike[str],
    *,
    trust: bool | Collection[str] = False,
    storage_options: dict[str, Any] | None = None,
    observers: Sequence[Observer] = (),
) -> Database:
    """Open a database, creating its folder where it is a path that does not exist.

    Args:
        uri: A folder (``~`` is the home folder), or the URI of an engine plugin.
        trust: What settings kept in tables may decide here. Tables made with this machine's key are
            trusted; of others, a setting that names a variable, an address, a folder or code is
            refused unless it is listed here. ``True`` trusts whatever the tables say.
        storage_options: Settings of the engine.
        observers: Called with a ``RequestEvent`` for each provider request, from any thread,
            beside those that plugins bring.

    Raises:
        ConfigurationError: No engine serves such a URI.
        StorageError: The folder cannot be made or written.
    """
    if not isinstance(uri, (str, os.PathLike)):
        raise ConfigurationError(
            f"connect takes a folder or a URI, not {type(uri).__name__}: connect('./mydb')."
        )
    location = os.fspath(uri)
    if "://" not in location:
        location = str(Path(location).expanduser())
    engine = engine_for(location)(location, EngineOptions(storage_options or {}))
    return Database(location, engine, observers, trust)
