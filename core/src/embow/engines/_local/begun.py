"""New files, held by a lock until a commit names them; and what is told of them ever after.

A writer holds an advisory lock on the file it makes, from its creation to the commit that names
it. The kernel drops the lock when the process dies, so the sweep of unnamed files can tell what
is abandoned from what another process is still writing.
"""

from __future__ import annotations

import os
import stat
import struct
import uuid
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import xxhash

from embow.engines._local import faults
from embow.engines._local.failures import LOCKLESS, storing
from embow.engines._local.records import FileRow
from embow.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows keeps a file that is open from being removed by itself.
    fcntl = None  # type: ignore[assignment]

ALGORITHM = "xxh3_64"
"""Of the checksums kept in the catalog for new files."""

ALGORITHMS: dict[str | None, tuple[struct.Struct, Callable[[memoryview], int]]] = {
    ALGORITHM: (struct.Struct("<qQ"), xxhash.xxh3_64_intdigest),
    "crc32": (struct.Struct("<qI"), zlib.crc32),
}
"""Of each algorithm the form in which the end and checksum of a message are kept."""

_CHUNK = 2**20


class Begun:
    """A file being written.

    Args:
        folder: Where; made when missing.
        suffix: End of its name.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self._checks: list[bytes] = []
        self._checked = 0
        self.name, self._descriptor = _create(folder, suffix)
        self.path = folder / self.name
        faults.reach("file.created")

    @property
    def bytes(self) -> int:
        """Size of what has been written."""
        return os.fstat(self._descriptor).st_size

    def check(self, end: int) -> None:
        """Note where a message ends that was just written, and its checksum."""
        total = xxhash.xxh3_64()
        for start in range(self._checked, end, _CHUNK):
            total.update(os.pread(self._descriptor, min(_CHUNK, end - start), start))
        self._checks.append(ALGORITHMS[ALGORITHM][0].pack(end, total.intdigest()))
        self._checked = end

    def synced(self) -> FileRow:
        """Make the whole file durable, and the folder's entry with it."""
        with storing(self.path, "write"):
            faults.reach("file.written")
            os.fsync(self._descriptor)
            sync_folder(self.path.parent)
        faults.reach("file.synced")
        return FileRow(self.name, self.bytes, ALGORITHM, b"".join(self._checks))

    def discard(self) -> None:
        """Remove the file; what cannot be removed now is left to ``optimize()``."""
        with suppress(OSError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Let go of the lock: the file is named now, or given up."""
        os.close(self._descriptor)


def map_file(path: Path, file: FileRow, table: str) -> pa.Buffer:
    """Map a whole file.

    Raises:
        StorageError: It has another size, or is a link. A missing file is a plain
            `FileNotFoundError`.
    """
    whose = f"{path} of table '{table}'"
    for each, kind in ((path.parent, stat.S_ISDIR), (path, stat.S_ISREG)):
        if not kind(os.lstat(each).st_mode):
            raise StorageError(f"Cannot read {each}: it is a link, which embow does not make.")
    found = os.stat(path).st_size
    if found != file.size:
        raise StorageError(
            f"Cannot read {whose}: the file is damaged ({found:,} bytes, should be {file.size:,})."
        )
    if file.checks and file.algorithm not in ALGORITHMS:
        raise StorageError(
            f"Cannot read {path}: its checksums are {file.algorithm!r}, which this embow does not "
            "know; upgrade embow."
        )
    with storing(path, "read", table):
        return pa.memory_map(str(path)).read_buffer()


def verify_bytes(
    whole: pa.Buffer, path: Path, file: FileRow, table: str, start: int, end: int, expected: int
) -> None:
    """Raise `StorageError` where some bytes of a file are not those that were written."""
    if ALGORITHMS[file.algorithm][1](memoryview(whole)[start:end]) != expected:
        raise StorageError(
            f"Cannot read {path} of table '{table}': the file is damaged (bytes {start:,} to "
            f"{end:,} are not those that were written). Restore it from a backup."
        )


def check_own(path: Path) -> None:
    """Raise `StorageError` for a file or folder of a database that is a link."""
    if path.is_symlink():
        raise StorageError(
            f"{path} is a link. Data of a database must lie within its own folder; put the whole "
            "database where the link leads."
        )


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(folder: Path, suffix: str) -> tuple[str, int]:
    while True:
        name = uuid.uuid4().hex + suffix
        path = folder / name
        with storing(path, "create"):
            check_own(folder)
            folder.mkdir(exist_ok=True)
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
            except FileNotFoundError:
                continue  # A sweep took the empty folder away in between.
            _lock(descriptor)
        # A sweep may have removed the file between its creation and its lock.
        if path.exists():
            sync_folder(folder.parent)
            return name, descriptor
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as exc:
            if exc.errno not in LOCKLESS:
                raise
            # No sweep can lock it either, and so none removes it.
