"""The one form that names of files and folders have below the data folder."""

from __future__ import annotations

import re
import sqlite3

from embow.errors import StorageError

SUFFIX = ".arrows"
"""Arrow IPC streams: unlike the file format, they allow a dictionary to change between batches."""

FOLDER = re.compile(r"[0-9a-f]{32}\Z")
FILE = re.compile(rf"[0-9a-f]{{32}}{re.escape(SUFFIX)}\Z")


def check_name(db: sqlite3.Connection, form: re.Pattern[str], name: object) -> str:
    """Return a name of a file or folder; one we never write could lead out of the database.

    Raises:
        StorageError: It has another form.
    """
    if isinstance(name, str) and form.match(name):
        return name
    raise not_ours(db, name)


def not_ours(db: sqlite3.Connection, name: object) -> StorageError:
    """Return the error for a catalog that names what embow does not write."""
    catalog = db.execute("PRAGMA database_list").fetchone()[2]
    return StorageError(
        f"{catalog} names {name!r} below its data folder, which embow does not write: the file "
        "is damaged or was changed by hand. Restore it from a backup."
    )
