"""The content-addressed cache of embeddings.

A vector is found by its space (the function's full identity and the role) and the content
hash of its input. Vectors are written in chunks, one for each provider response: a chunk is
one row holding the digests and the float32 vectors of that response, and each input has one
small index row that points into it. Index rows fall all over the index, so they are written for
several chunks at a time; the newest chunks have none and are searched directly. Chunks not used
for longest leave first.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from embow.errors import ConfigurationError
from embow.pipeline._cachefile import CacheFile

if TYPE_CHECKING:
    from embow.embeddings._base import EmbeddingFunction
    from embow.embeddings.types import Role

Vectors = NDArray[np.float32]

DEFAULT_SIZE = 2 * 1024**3
"""Bytes the cache may fill unless ``EMBOW_CACHE_SIZE`` says otherwise."""

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_AT_ONCE = 1000  # bound parameters of one statement
_DIGEST = 16
_INDEX_EVERY = 32  # chunks
_HOUR = 3600


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
    folder = user_cache_path("embow", appauthor=False, ensure_exists=True)
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


def space_of(function: EmbeddingFunction, role: Role) -> bytes:
    """Return the 16 bytes that keep the vectors of one identity and role apart from others."""
    return blake2b(f"{function.fingerprint()}\0{role}".encode(), digest_size=16).digest()


class EmbeddingCache:
    """Vectors by content, in one SQLite file."""

    def __init__(self, file: CacheFile, size: int = DEFAULT_SIZE) -> None:
        self._file = file
        self._size = size

    def get(self, space: bytes, digests: list[bytes], ndims: int) -> tuple[list[int], Vectors]:
        """Return which of the digests are known, and their vectors in the same order."""
        nothing: tuple[list[int], Vectors] = ([], np.empty((0, ndims), dtype=np.float32))
        if not digests or not self._size:
            return nothing
        stale: list[int] = []
        found = self._file.run(lambda db: _get(db, space, digests, ndims, stale), nothing)
        if stale:
            self._file.run(lambda db: _touch(db, stale), None)
        return found

    def put(self, space: bytes, digests: list[bytes], vectors: Vectors) -> None:
        """Keep vectors, shape ``(len(digests), ndims)``, as one chunk."""
        if digests and vectors.nbytes < self._size:
            self._file.run(lambda db: _put(db, space, digests, vectors, self._size), None)


class CachedVectors:
    """What the cache holds for one function in one role; nothing where there is no cache.

    Args:
        cache: Where vectors are kept, if they are.
        function: What makes them.
        role: What it makes them of.
        ndims: Their length.
    """

    def __init__(
        self, cache: EmbeddingCache | None, function: EmbeddingFunction, role: Role, ndims: int
    ) -> None:
        self._cache = cache
        self._space = space_of(function, role) if cache is not None else b""
        self._ndims = ndims

    def get(self, digests: Sequence[bytes | None]) -> tuple[list[int], Vectors]:
        """Return which of the digests are known, and their vectors in the same order."""
        if self._cache is None:
            return [], np.empty((0, self._ndims), dtype=np.float32)
        known, keys = _cacheable(digests)
        found, vectors = self._cache.get(self._space, keys, self._ndims)
        return [known[at] for at in found], vectors

    def put(self, digests: Sequence[bytes | None], vectors: Vectors) -> None:
        """Keep vectors, shape ``(len(digests), ndims)``; those without a digest are not kept."""
        if self._cache is not None:
            known, keys = _cacheable(digests)
            self._cache.put(
                self._space, keys, vectors if len(known) == len(digests) else vectors[known]
            )


def _cacheable(digests: Sequence[bytes | None]) -> tuple[Sequence[int], list[bytes]]:
    """Return the positions that have a digest, and the digests."""
    keys = [digest for digest in digests if digest is not None]
    if len(keys) == len(digests):
        return range(len(keys)), keys
    return [at for at, digest in enumerate(digests) if digest is not None], keys


def _keys(space: bytes, digests: bytes) -> NDArray[np.int64]:
    """Return an integer for each digest. Two may meet; the full digest in the chunk decides."""
    halves = np.frombuffer(digests, dtype="<i8").reshape(-1, 2)[:, 0]
    keys: NDArray[np.int64] = halves ^ np.frombuffer(space, dtype="<i8")[0]
    return keys


def _get(
    db: sqlite3.Connection, space: bytes, digests: list[bytes], ndims: int, stale: list[int]
) -> tuple[list[int], Vectors]:
    """Read what is known. ``stale`` receives the chunks whose time of use is out of date."""
    found: list[int] = []
    blocks: list[Vectors] = [np.empty((0, ndims), dtype=np.float32)]
    hour = int(time.time()) // _HOUR
    for chunk, pairs in _locate(db, space, digests).items():
        query = "SELECT space, used, digests, sums FROM chunks WHERE id = ?"
        row = db.execute(query, (chunk,)).fetchone()
        owner, used, kept, sums = row or (None, hour, b"", b"")
        good = _confirmed(sorted(pairs), kept, digests) if owner == space else []
        slots = [slot for slot, _ in good]
        vectors = _read_vectors(db, chunk, slots, len(kept) // _DIGEST, ndims)
        if vectors is not None:
            whole = _checksums(vectors) == np.frombuffer(sums, dtype="<u4")[slots]
            found.extend(at for (_, at), fine in zip(good, whole, strict=True) if fine)
            blocks.append(vectors if whole.all() else vectors[whole])
        if used < hour:
            stale.append(chunk)
    return found, np.concatenate(blocks)


def _locate(
    db: sqlite3.Connection, space: bytes, digests: list[bytes]
) -> dict[int, list[tuple[int, int]]]:
    """Return chunks with the (slot, position) pairs where a digest may be found."""
    wanted = _keys(space, b"".join(digests))
    at = {key: position for position, key in enumerate(wanted.tolist())}
    chunks: dict[int, list[tuple[int, int]]] = defaultdict(list)
    newest, kept, slots = _flat(_waiting(db))
    for place in np.flatnonzero(np.isin(kept, wanted)).tolist()[::-1]:
        if (position := at.pop(int(kept[place]), None)) is not None:
            chunks[int(newest[place])].append((int(slots[place]), position))
    keys = list(at)
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        marks = ",".join("?" * len(part))
        query = f"SELECT key, chunk, slot FROM entries WHERE key IN ({marks})"
        for key, chunk, slot in db.execute(query, part):
            chunks[chunk].append((slot, at[key]))
    return chunks


def _waiting(db: sqlite3.Connection) -> list[tuple[int, bytes, bytes]]:
    """Return the newest chunks, those that have no index rows yet."""
    (newest,) = db.execute("SELECT max(id) FROM chunks").fetchone()
    indexed = (newest or 0) // _INDEX_EVERY * _INDEX_EVERY
    return _chunks_after(db, indexed)


def _chunks_after(db: sqlite3.Connection, chunk: int) -> list[tuple[int, bytes, bytes]]:
    query = "SELECT id, space, digests FROM chunks WHERE id > ? ORDER BY id"
    return db.execute(query, (chunk,)).fetchall()


def _flat(
    chunks: list[tuple[int, bytes, bytes]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return chunk, key and slot of every input of some chunks."""
    nothing = np.empty(0, dtype=np.int64)
    keys = [_keys(space, raw) for _, space, raw in chunks]
    ids = [np.full(len(k), chunk) for k, (chunk, *_) in zip(keys, chunks, strict=True)]
    slots = [np.arange(len(k)) for k in keys]
    return (
        np.concatenate([nothing, *ids]),
        np.concatenate([nothing, *keys]),
        np.concatenate([nothing, *slots]),
    )


def _confirmed(
    pairs: list[tuple[int, int]], kept: bytes, digests: list[bytes]
) -> list[tuple[int, int]]:
    """Return the (slot, position) pairs whose whole digest is the one asked for."""
    return [
        (slot, position)
        for slot, position in pairs
        if kept[slot * _DIGEST : (slot + 1) * _DIGEST] == digests[position]
    ]


def _read_vectors(
    db: sqlite3.Connection, chunk: int, slots: list[int], count: int, ndims: int
) -> Vectors | None:
    if not slots:
        return None
    width = ndims * 4
    if len(slots) * 4 < count:
        with db.blobopen("chunks", "vectors", chunk, readonly=True) as blob:
            if len(blob) != count * width:
                return None
            parts: list[bytes] = []
            for slot in slots:
                blob.seek(slot * width)
                parts.append(blob.read(width))
        return np.frombuffer(b"".join(parts), dtype="<f4").reshape(len(slots), ndims)
    (raw,) = db.execute("SELECT vectors FROM chunks WHERE id = ?", (chunk,)).fetchone()
    if len(raw) != count * width:
        return None
    whole = np.frombuffer(raw, dtype="<f4").reshape(count, ndims)
    return whole if len(slots) == count else whole[slots]


def _checksums(vectors: Vectors) -> NDArray[np.uint32]:
    """Return a number for each vector that changes with any damaged byte.

    SQLite does not notice a damaged value, and a wrong vector must never be served.
    """
    words = np.ascontiguousarray(vectors, dtype="<f4").view("<u4")
    odd = np.arange(1, 2 * words.shape[1], 2, dtype=np.uint32) * np.uint32(0x9E3779B1)
    sums: NDArray[np.uint32] = np.einsum("ij,j->i", words, odd)
    return sums


def _touch(db: sqlite3.Connection, chunks: list[int]) -> None:
    # By the hour, so that reading a cache costs a write only now and then.
    hour = int(time.time()) // _HOUR
    db.executemany("UPDATE chunks SET used = ? WHERE id = ?", [(hour, chunk) for chunk in chunks])


def _put(
    db: sqlite3.Connection, space: bytes, digests: list[bytes], vectors: Vectors, size: int
) -> None:
    data = np.ascontiguousarray(vectors, dtype="<f4")
    chunk = db.execute(
        "INSERT INTO chunks(space, used, digests, sums, vectors) VALUES (?, ?, ?, ?, ?)",
        (
            space,
            int(time.time()) // _HOUR,
            b"".join(digests),
            _checksums(data).tobytes(),
            data.tobytes(),
        ),
    ).lastrowid
    assert chunk is not None
    if chunk % _INDEX_EVERY == 0:
        _index(db, chunk - _INDEX_EVERY)
    _evict(db, size)


def _index(db: sqlite3.Connection, after: int) -> None:
    """Write the index rows of the chunks after one, sorted, so that neighbours share pages."""
    chunks, keys, slots = _flat(_chunks_after(db, after))
    order = np.argsort(keys, kind="stable")
    columns = (keys[order].tolist(), chunks[order].tolist(), slots[order].tolist())
    db.executemany(
        "INSERT OR REPLACE INTO entries(key, chunk, slot) VALUES (?, ?, ?)",
        zip(*columns, strict=True),
    )


def _evict(db: sqlite3.Connection, size: int) -> None:
    """Delete the chunks not used for longest until a tenth of the size is free again."""
    if _filled(db) <= size:
        return
    while _filled(db) > size * 0.9:
        row = db.execute(
            "SELECT id, space, digests FROM chunks ORDER BY used, id LIMIT 1"
        ).fetchone()
        if row is None:
            return
        chunk, space, raw = row
        db.executemany(
            "DELETE FROM entries WHERE key = ? AND chunk = ?",
            [(key, chunk) for key in _keys(space, raw).tolist()],
        )
        db.execute("DELETE FROM chunks WHERE id = ?", (chunk,))


def _filled(db: sqlite3.Connection) -> int:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (width,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * width)
