"""Immutable files of Arrow data: written whole and synced, or never named.

A writer holds an advisory lock on the file it makes, from its creation to the commit that names
it. The kernel drops the lock when the process dies, so the sweep of unnamed files can tell what
is abandoned from what another process is still writing.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from embow.engines.local import faults
from embow.engines.local.failures import storing
from embow.errors import StorageError

try:
    import fcntl
except ImportError:  # Windows keeps a file that is open from being removed by itself.
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".arrows"
"""Arrow IPC streams: unlike the file format, they allow a dictionary to change between batches."""


class NewFile:
    """A file being written.

    Args:
        folder: Where; made when missing.
        schema: Of the batches to come.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self.name, self._descriptor = _create(folder)
        self.path = folder / self.name
        faults.reach("file.created")
        try:
            with storing(self.path, "write"):
                self._sink = pa.OSFile(str(self.path), "wb")
        except BaseException:
            self.release()
            raise
        self._writer = pa.ipc.new_stream(self._sink, schema)

    @property
    def bytes(self) -> int:
        """Bytes written so far."""
        return os.fstat(self._descriptor).st_size

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        with storing(self.path, "write"):
            self._writer.write_batch(batch)
        self.rows += batch.num_rows
        faults.reach("file.half")

    def finish(self) -> None:
        """Complete the file and make it durable, and the folder's entry with it."""
        with storing(self.path, "write"):
            self._writer.close()
            self._sink.close()
            faults.reach("file.written")
            os.fsync(self._descriptor)
            sync_folder(self.path.parent)
        faults.reach("file.synced")

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


class NewFiles:
    """The files of one commit: discarded on leaving, unless `keep` was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: list[NewFile] = []
        self._keep = False

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
        """Begin a file."""
        file = NewFile(self.folder, schema)
        self._files.append(file)
        return file

    def keep(self) -> None:
        """Leave the files in place: the commit that names them is about to be tried.

        A failure of the commit itself does not say whether it will be found after a crash, so
        from here on only ``optimize()``, which asks the catalog, may remove them.
        """
        self._keep = True


def read_file(path: Path, size: int) -> list[pa.RecordBatch]:
    """Map a file and return its batches, none of them read yet.

    Raises:
        StorageError: It is damaged. A missing file is a plain `FileNotFoundError`.
    """
    found = os.stat(path).st_size
    if found != size:
        raise StorageError(
            f"Cannot read {path}: the file is damaged ({found:,} bytes, should be {size:,})."
        )
    with storing(path, "read"):
        batches = list(pa.ipc.open_stream(pa.memory_map(str(path))))
        for batch in batches:
            batch.validate()
        return batches


def sweep(data: Path, named: Callable[[], Collection[str]]) -> int:
    """Remove files below ``data`` that are neither named nor being written; return how many.

    Args:
        data: The data folder.
        named: Returns ``folder/name`` of the files the catalog knows now.
    """
    before = named()
    found = [path for path in data.glob(f"*/*{SUFFIX}") if _key(path) not in before]
    held = [(path, descriptor) for path in found if (descriptor := _try_lock(path)) is not None]
    removed = 0
    # Asked again while the locks are held: a commit may have named a file since.
    after = named()
    for path, descriptor in held:
        if _key(path) not in after:
            with suppress(OSError):
                path.unlink()
                removed += 1
        os.close(descriptor)
    for folder in data.iterdir():
        with suppress(OSError):  # Not empty: a table's, or one being filled.
            folder.rmdir()
    return removed


def _key(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _try_lock(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


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
            folder.mkdir(parents=True, exist_ok=True)
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
        fcntl.flock(descriptor, fcntl.LOCK_EX)
