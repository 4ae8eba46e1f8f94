"""From a folder or URI to a database.

``embow.connect`` is the one function here. It finds the engine; everything else is ``Database``'s.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Never

from embow._table.database import Database, Observer
from embow.engines.contract import Durability, EngineOptions
from embow.errors import ConfigurationError, near_name
from embow.plugins._engines import engine_for
from embow.plugins._indexes import index_library

_SETTINGS = ("trust", "durability", "storage_options", "observers")


def connect(
    uri: str | os.PathLike[str],
    *,
    trust: bool | Collection[str] = False,
    durability: Durability = "full",
    storage_options: dict[str, Any] | None = None,
    observers: Sequence[Observer] = (),
    **unknown: Never,
) -> Database:
    """Open a database, creating its folder where it is a path that does not exist.

    Args:
        uri: A folder (``~`` is the home folder), or the URI of an engine plugin.
        trust: What settings kept in tables may decide here. Tables made with this machine's key are
            trusted; of others, a setting that names a variable, an address, a folder or code is
            refused unless it is listed here. ``True`` trusts whatever the tables say.
        durability: What a write waits for. With ``"full"`` it outlives a loss of power. With
            ``"os"`` it is handed to the operating system, which is several times faster for small
            writes: it outlives this process, however that ends, and a loss of power may take the
            last seconds of writes, whole ones, and harms nothing else.
        storage_options: Settings of the engine.
        observers: Called with a ``RequestEvent`` for each provider request, from any thread,
            beside those that plugins bring.
        **unknown: There are no other settings; the error names the nearest.

    Raises:
        ConfigurationError: No engine serves such a URI, or there is no such setting.
        StorageError: The folder cannot be made or written.
    """
    location = os.fspath(uri) if isinstance(uri, (str, os.PathLike)) else None
    if not location:
        given = "empty text" if location == "" else type(uri).__name__
        raise ConfigurationError(
            f"connect takes a folder or a URI, not {given}: connect('./mydb')."
        )
    if location.lower() == ":memory:":
        raise ConfigurationError("A database in memory is connect('memory://'), not ':memory:'.")
    if str(location).startswith("db://"):
        raise ConfigurationError(
            f"{location} is an address of LanceDB Cloud, which embow does not serve. Tables lie in "
            "a folder, connect('./mydb'), or where an engine plugin keeps them."
        )
    for name in unknown:
        raise ConfigurationError(
            f"connect has no setting {name!r}.{near_name(name, _SETTINGS)} "
            f"Its settings: {', '.join(_SETTINGS)}."
        )
    if "://" not in location:
        location = str(Path(os.path.expanduser(location)))
    if not isinstance(storage_options, (dict, type(None))):
        raise ConfigurationError(f"storage_options must be a dict, not {storage_options!r:.60}.")
    options = EngineOptions(storage_options or {}, index_library, durability)
    engine = engine_for(location)(location, options)
    return Database(location, engine, observers, trust)
