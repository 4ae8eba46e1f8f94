"""Immutable files of Arrow data: written whole and synced, or never named.

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
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import xxhash

from embow.engines._local import faults
from embow.engines._local.catalog import Catalog
from embow.engines._local.failures import LOCKLESS, storing
from embow.engines._local.records import FileRow
from embow.engines._local.sealed import SUFFIX
from embow.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows keeps a file that is open from being removed by itself.
    fcntl = None  # type: ignore[assignment]

ALGORITHM = "xxh3_64"
"""Of the checksums kept in the catalog for new files."""

_ALGORITHMS: dict[str | None, tuple[struct.Struct, Callable[[memoryview], int]]] = {
    ALGORITHM: (struct.Struct("<qQ"), xxhash.xxh3_64_intdigest),
    "crc32": (struct.Struct("<qI"), zlib.crc32),
}
"""Of each algorithm the form in which the end and checksum of a message are kept."""

_CHUNK = 2**20


class NewFile:
    """A file being written.

    Args:
        folder: Where; made when missing.
        schema: Of the batches to come.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._checks: list[bytes] = []
        self._checked = 0
        self.name, self._descriptor = _create(folder)
        self.path = folder / self.name
        faults.reach("file.created")
        try:
            with storing(self.path, "write"):
                self._sink = pa.OSFile(str(self.path), "wb")
                self._writer = pa.ipc.new_stream(self._sink, schema)
                self._schema_bytes = schema.serialize().size
        except BaseException:
            self.release()
            raise

    @property
    def bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def write(self, batch: pa.RecordBatch) -> None:
        with storing(self.path, "write"):
            self._writer.write_batch(batch)
            self._check_schema()
            self._check(self.bytes)
        self.rows += batch.num_rows
        faults.reach("file.half")

    def finish(self) -> FileRow:
        """Complete the file and make it durable, and the folder's entry with it."""
        with storing(self.path, "write"):
            self._writer.close()
            self._sink.close()
            self._check_schema()
            faults.reach("file.written")
            os.fsync(self._descriptor)
            sync_folder(self.path.parent)
        faults.reach("file.synced")
        return FileRow(self.name, self.bytes, ALGORITHM, b"".join(self._checks))

    def _check_schema(self) -> None:
        if not self._checks:  # It comes first, but Arrow writes it with the first batch.
            self._check(self._schema_bytes)

    def _check(self, end: int) -> None:
        """Note where a message ends that was just written, and its checksum."""
        total = xxhash.xxh3_64()
        for start in range(self._checked, end, _CHUNK):
            total.update(os.pread(self._descriptor, min(_CHUNK, end - start), start))
        self._checks.append(_ALGORITHMS[ALGORITHM][0].pack(end, total.intdigest()))
        self._checked = end

    def discard(self) -> None:
        """Remove the file; what cannot be removed now is left to ``optimize()``."""
        with suppress(OSError, pa.ArrowException):
            self._sink.close()
        with suppress(OSError):
            self.path.unlink()
        self.release()

    def release(self) -> None:
        """Let go of the lock: the file is named now, or given up."""
        os.close(self._descriptor)


@dataclass(slots=True)
class NewFiles:
    """The files of one commit: discarded on leaving, unless `keep` was called."""

    catalog: Catalog
    folder: Path
    _files: list[NewFile] = field(default_factory=list, init=False)
    _keep: bool = field(default=False, init=False)

    def __enter__(self) -> NewFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files:
            if self._keep:
                file.release()
            else:
                file.discard()

    def create(self, schema: pa.Schema) -> NewFile:
        self.catalog.require("write")
        file = NewFile(self.folder, schema)
        self._files.append(file)
        return file

    def keep(self) -> None:
        """Leave the files in place: the commit that names them is about to be tried.

        A failure of the commit itself does not say whether it will be found after a crash, so
        from here on only ``optimize()``, which asks the catalog, may remove them.
        """
        self._keep = True


Batch = tuple[pa.RecordBatch, Callable[[], None]]
"""A mapped batch, and what raises `StorageError` if its bytes are not those that were written."""


def read_file(path: Path, file: FileRow, table: str) -> tuple[pa.Schema, list[Batch]]:
    """Map a file and return its schema and batches, none of them read yet.

    Raises:
        StorageError: It is damaged, or a link. A missing file is a plain `FileNotFoundError`.
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
    if file.checks and file.algorithm not in _ALGORITHMS:
        raise StorageError(
            f"Cannot read {path}: its checksums are {file.algorithm!r}, which this embow does not "
            "know; upgrade embow."
        )
    form, algorithm = _ALGORITHMS[file.algorithm if file.checks else ALGORITHM]

    def verify_bytes(start: int, end: int, expected: int) -> None:
        if algorithm(memoryview(whole)[start:end]) != expected:
            raise StorageError(
                f"Cannot read {whose}: the file is damaged (bytes {start:,} to "
                f"{end:,} are not those that were written). Restore it from a backup."
            )

    def verify(batch: pa.RecordBatch, start: int = 0, end: int = 0, expected: int = 0) -> None:
        if checks:
            verify_bytes(start, end, expected)
        with storing(path, "read", table):
            batch.validate(full=True)  # Whoever made the file made its checksums too.

    with storing(path, "read", table):
        whole = pa.memory_map(str(path)).read_buffer()
        checks = list(form.iter_unpack(file.checks or b""))
        if checks:  # The schema comes first; in old files it is one message with the first batch.
            verify_bytes(0, *(checks[0] if checks[0][0] else checks[1]))
        reader = pa.ipc.open_stream(whole)
        batches = list(reader)
        for batch in batches:
            batch.validate()
    if not checks:
        return reader.schema, [(batch, partial(verify, batch)) for batch in batches]
    if len(batches) != len(checks) - 1:
        raise StorageError(f"Cannot read {whose}: the file is damaged (batches are missing).")
    return reader.schema, [
        (batch, partial(verify, batch, start, *check))
        for batch, (start, _), check in zip(batches, checks, checks[1:], strict=False)
    ]


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


def _create(folder: Path) -> tuple[str, int]:
    while True:
        name = uuid.uuid4().hex + SUFFIX
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
