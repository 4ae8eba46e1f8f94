"""The content-addressed cache of embeddings.

A vector is found by its space (the function's full identity and the role) and the content hash of
its input, one row each. A row also holds a checksum of all three, since SQLite does not notice a
damaged value and a wrong vector must never be served. What was not used for longest leaves first.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from embow._processes import cache_folder
from embow.embeddings._made import ragged
from embow.errors import ConfigurationError
from embow.pipeline._cachefile import CacheFile, released_by_fork
from embow.pipeline._requests import bytes_of

if TYPE_CHECKING:
    from embow.embeddings.types import Role

Vectors = NDArray[np.float32]

DEFAULT_SIZE = 2 * 1024**3
"""Bytes the cache may fill unless ``EMBOW_CACHE_SIZE`` says otherwise."""

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_AT_ONCE = 1000  # bound parameters of one statement


def cache_file(path: str | os.PathLike[str] | None) -> Path | None:
    """Return the file of the cache: ``EMBOW_CACHE`` where set, else ``path``.

    A folder stands for ``cache.sqlite`` in it.
    """
    chosen = os.environ.get("EMBOW_CACHE") or path
    if chosen is None:
        return None
    file = Path(chosen).expanduser()
    return file / "cache.sqlite" if file.is_dir() else file


def default_cache_path() -> Path:
    """Return the cache for databases that have no folder of their own: one file for each user.

    The folder is made where it is missing.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "cache.sqlite"


def cache_size() -> int:
    """Return the bytes the cache may fill, from ``EMBOW_CACHE_SIZE`` (``512MB``, ``2GB``, 0).

    Raises:
        ConfigurationError: The variable is not a size.
    """
    text = os.environ.get("EMBOW_CACHE_SIZE", "").strip()
    if not text:
        return DEFAULT_SIZE
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text, re.IGNORECASE)
    if match is None:
        raise ConfigurationError(
            f"EMBOW_CACHE_SIZE is {text!r}, not a size. Write bytes, or a number with KB, MB, "
            "GB or TB, such as 512MB; 0 turns the cache off."
        )
    return int(float(match[1]) * _UNITS[match[2].lower()])


def space_of(fingerprint: str, role: Role) -> bytes:
    """Return the 16 bytes that keep the vectors of one identity and role apart from others."""
    return blake2b(f"{fingerprint}\0{role}".encode(), digest_size=16).digest()


class EmbeddingCache:
    """Vectors by content, and notes by key, in one SQLite file.

    Attributes:
        lock: Guards ``sound``.
        sound: Spaces with the class that, in this process, made their sample again.
    """

    def __init__(self, file: CacheFile, size: int = DEFAULT_SIZE) -> None:
        self._file = file
        self._size = size
        self._waiting: deque[tuple[bytes, list[bytes], Vectors]] = deque()
        self.lock = threading.RLock()
        released_by_fork(self)
        self.sound: set[tuple[bytes, type]] = set()

    def get(
        self, space: bytes, digests: list[bytes], ndims: int, *, several: bool = False
    ) -> tuple[list[int], Vectors]:
        """Return which of the digests are known, and their vectors in the same order.

        Args:
            space: Where to look.
            digests: What to look for.
            ndims: Length of the vectors.
            several: Whether each has several of them; they come as an array of arrays.
        """
        shape = (0,) if several else (0, ndims)
        dtype = object if several else np.float32
        nothing: tuple[list[int], Vectors] = ([], np.empty(shape, dtype=dtype))
        if not digests or not self._size:
            return nothing
        old: list[int] = []
        found = self._file.run(lambda db: _get(db, space, digests, nothing[1], ndims, old), nothing)
        if old:
            self._file.run(lambda db: _renew(db, old, self._size), None)
        return found

    def put(self, space: bytes, digests: list[bytes], vectors: Vectors) -> None:
        """Keep vectors, one or several for each digest; they are stored on return."""
        if digests and bytes_of(vectors) < self._size:
            self._waiting.append((space, digests, vectors))
            if not self._file.run(self._flush, False):
                self._waiting.clear()

    def _flush(self, db: sqlite3.Connection) -> bool:
        """Write what waits: while one thread wrote, others may have come with more."""
        while self._waiting:
            _put(db, *self._waiting.popleft())
        _evict(db, self._size)
        return True

    def holds(self, space: bytes) -> bool:
        """Tell whether there is any vector of a space."""
        return self._file.run(partial(_number, space=space), None) is not None

    def drop(self, space: bytes) -> None:
        """Forget all vectors of a space. Nothing finds them any more, and they leave in time."""
        self._file.run(lambda db: db.execute("DELETE FROM spaces WHERE space = ?", (space,)), None)

    def note(self, key: bytes) -> bytes | None:
        """Return what is kept under a key, where it is there and whole."""
        query = "SELECT sum, value FROM notes WHERE key = ?"
        row = self._file.run(lambda db: db.execute(query, (key,)).fetchone(), None)
        return row[1] if row and row[0] == crc32(row[1], crc32(key)) else None

    def keep_note(self, key: bytes, value: bytes) -> None:
        """Keep a few bytes under a key, in the place of what was there."""
        row = (key, crc32(value, crc32(key)), value)
        self._file.run(lambda db: db.execute("REPLACE INTO notes VALUES (?, ?, ?)", row), None)


def _get(
    db: sqlite3.Connection,
    space: bytes,
    digests: list[bytes],
    blank: Vectors,
    ndims: int,
    old: list[int],
) -> tuple[list[int], Vectors]:
    """Read what is known. ``old`` receives the rows that would be among the next to leave."""
    number, (first, last) = _number(db, space), _ends(db)
    rows: list[tuple[int, bytes, int, bytes]] = []
    for start in range(0, len(digests) if number is not None else 0, _AT_ONCE):
        part = digests[start : start + _AT_ONCE]
        marks = ",".join("?" * len(part))
        query = f"SELECT id, digest, sum, value FROM vectors WHERE space = ? AND key IN ({marks})"
        rows += db.execute(query, (number, *map(_key, part)))
    at = {digest: position for position, digest in enumerate(digests)}
    several = blank.dtype == object
    rows = [row for row in rows if row[1] in at and _fits(row[3], ndims, several=several)]
    ids, keys, sums, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    if several:
        vectors = ragged([np.frombuffer(each, dtype="<f4").reshape(-1, ndims) for each in values])
    else:
        vectors = np.frombuffer(b"".join(values), dtype="<f4").reshape(len(values), ndims)
    whole = _sums(space, keys, vectors) == np.array(sums, dtype=np.int64)
    old.extend(row for row in ids if row < (first + last) // 2)
    good = {key: place for place, key in enumerate(keys) if whole[place]}
    return [at[key] for key in good], vectors[list(good.values())]


def _fits(value: bytes, ndims: int, *, several: bool) -> bool:
    return len(value) % (ndims * 4) == 0 if several else len(value) == ndims * 4


def _values(vectors: Vectors) -> list[memoryview]:
    """Return the bytes of each row."""
    if vectors.dtype == object:
        return [_bytes(each) for each in vectors]
    data, width = _bytes(vectors), vectors.shape[1] * 4
    return [data[start : start + width] for start in range(0, len(data), width)]


def _bytes(vectors: Vectors) -> memoryview:
    return memoryview(np.ascontiguousarray(vectors, dtype="<f4").data).cast("B")


def _put(db: sqlite3.Connection, space: bytes, digests: list[bytes], vectors: Vectors) -> None:
    db.execute("INSERT OR IGNORE INTO spaces(space) VALUES (?)", (space,))
    number = _number(db, space)
    sums = _sums(space, digests, vectors).tolist()
    values = _values(vectors)
    db.executemany(
        f"INSERT INTO vectors(key, space, digest, sum, value) VALUES (?, {number}, ?, ?, ?)",
        sorted(zip(map(_key, digests), digests, sums, values, strict=True)),
    )


def _key(digest: bytes) -> int:
    """Return what a row is looked up by: small, since each write dirties pages all over the index.

    Two digests may share it; the whole one decides.
    """
    return int.from_bytes(digest[:4], "little")


def _sums(space: bytes, digests: Sequence[bytes], vectors: Vectors) -> NDArray[np.int64]:
    """Return a number for each row that changes with any damaged byte of what is in it."""
    keys = np.frombuffer(b"".join([space, *digests]), dtype="<u4").reshape(-1, 4)
    if vectors.dtype == object:
        rows = [_weighed(each.reshape(1, -1)) for each in vectors]
        words = np.concatenate([np.empty(0, np.uint32), *rows])
    else:
        words = _weighed(vectors)
    mixed = keys @ _odd(4)
    sums: NDArray[np.int64] = (words ^ (mixed[1:] + mixed[0])).astype(np.int64)
    return sums


def _weighed(vectors: Vectors) -> NDArray[np.uint32]:
    """Return a number for each row that changes with each of its words."""
    words = np.ascontiguousarray(vectors, dtype="<f4").view("<u4")
    return np.asarray(np.einsum("ij,j->i", words, _odd(words.shape[1])))


def _odd(count: int) -> NDArray[np.uint32]:
    return np.arange(1, 2 * count, 2, dtype=np.uint32) * np.uint32(0x9E3779B1)


def _renew(db: sqlite3.Connection, rows: list[int], size: int) -> None:
    """Put rows behind all others: the first are the next to leave. An emptier file has time."""
    if _filled(db) > size / 2:
        names, each = "key, space, digest, sum, value", [(row,) for row in rows]
        copy = f"INSERT INTO vectors({names}) SELECT {names} FROM vectors WHERE id = ?"
        db.executemany(copy, each)
        db.executemany("DELETE FROM vectors WHERE id = ?", each)


def _evict(db: sqlite3.Connection, size: int) -> None:
    """Delete the first rows until a tenth of the size is free again."""
    if _filled(db) <= size:
        return
    while _filled(db) > size * 0.9:
        first, last = _ends(db)
        if not last:
            return
        db.execute("DELETE FROM vectors WHERE id <= ?", (first + (last - first) // 20,))


def _number(db: sqlite3.Connection, space: bytes) -> int | None:
    row = db.execute("SELECT id FROM spaces WHERE space = ?", (space,)).fetchone()
    return int(row[0]) if row else None


def _ends(db: sqlite3.Connection) -> tuple[int, int]:
    """Return the first and the last row. SQLite looks both up only where they are asked apart."""
    (first,) = db.execute("SELECT min(id) FROM vectors").fetchone()
    (last,) = db.execute("SELECT max(id) FROM vectors").fetchone()
    return first or 0, last or 0


def _filled(db: sqlite3.Connection) -> int:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (width,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * width)
