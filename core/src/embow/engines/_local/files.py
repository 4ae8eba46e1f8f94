"""Immutable files: written whole and synced, or never named."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import pyarrow as pa

from embow.engines._local import faults
from embow.engines._local.begun import ALGORITHM, ALGORITHMS, Begun, map_file, verify_bytes
from embow.engines._local.blobs import NewBlob
from embow.engines._local.catalog import Catalog
from embow.engines._local.failures import storing
from embow.engines._local.records import FileRow
from embow.engines._local.sealed import SUFFIX
from embow.errors import StorageError

N = TypeVar("N", bound=Begun)


class NewFile(Begun):
    """A file of Arrow data being written.

    Args:
        folder: Where; made when missing.
        schema: Of the batches to come.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        super().__init__(folder, SUFFIX)
        self.rows = 0
        self._checked_schema = False
        try:
            with storing(self.path, "write"):
                self._sink = pa.OSFile(str(self.path), "wb")
                self._writer = pa.ipc.new_stream(self._sink, schema)
                self._schema_bytes = schema.serialize().size
        except BaseException:
            self.release()
            raise

    def write(self, batch: pa.RecordBatch) -> None:
        with storing(self.path, "write"):
            self._writer.write_batch(batch)
            self._check_schema()
            self.check(self.bytes)
        self.rows += batch.num_rows
        faults.reach("file.half")

    def finish(self) -> FileRow:
        """Complete the file and make it durable, and the folder's entry with it."""
        with storing(self.path, "write"):
            self._writer.close()
            self._sink.close()
            self._check_schema()
        return self.synced()

    def _check_schema(self) -> None:
        if not self._checked_schema:  # It comes first, but Arrow writes it with the first batch.
            self.check(self._schema_bytes)
            self._checked_schema = True

    def discard(self) -> None:
        """Remove the file; what cannot be removed now is left to ``optimize()``."""
        with suppress(OSError, pa.ArrowException):
            self._sink.close()
        super().discard()


@dataclass(slots=True)
class NewFiles:
    """The files of one commit: discarded on leaving, unless `keep` was called."""

    catalog: Catalog
    folder: Path
    _files: list[Begun] = field(default_factory=list, init=False)
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
        """Begin a file of Arrow data."""
        self.catalog.require("write")
        return self._begun(NewFile(self.folder, schema))

    def create_blob(self) -> NewBlob:
        """Begin a file of bytes."""
        self.catalog.require("write")
        return self._begun(NewBlob(self.folder))

    def _begun(self, file: N) -> N:
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
    whole = map_file(path, file, table)
    form = ALGORITHMS[file.algorithm if file.checks else ALGORITHM][0]

    def verify(batch: pa.RecordBatch, start: int = 0, end: int = 0, expected: int = 0) -> None:
        if checks:
            verify_bytes(whole, path, file, table, start, end, expected)
        with storing(path, "read", table):
            batch.validate(full=True)  # Whoever made the file made its checksums too.

    with storing(path, "read", table):
        checks = list(form.iter_unpack(file.checks or b""))
        if checks:  # The schema comes first; in old files it is one message with the first batch.
            first = checks[0] if checks[0][0] else checks[1]
            verify_bytes(whole, path, file, table, 0, *first)
        reader = pa.ipc.open_stream(whole)
        batches = list(reader)
        for batch in batches:
            batch.validate()
    if not checks:
        return reader.schema, [(batch, partial(verify, batch)) for batch in batches]
    if len(batches) != len(checks) - 1:
        raise StorageError(
            f"Cannot read {path} of table '{table}': the file is damaged (batches are missing)."
        )
    return reader.schema, [
        (batch, partial(verify, batch, start, *check))
        for batch, (start, _), check in zip(batches, checks, checks[1:], strict=False)
    ]
