"""Files of plain bytes: the pieces of indexes."""

from __future__ import annotations

import os
from pathlib import Path

from embow.engines._local import faults
from embow.engines._local.begun import ALGORITHM, ALGORITHMS, Begun, map_file, verify_bytes
from embow.engines._local.failures import storing
from embow.engines._local.records import FileRow
from embow.engines._local.sealed import PIECE_SUFFIX
from embow.errors import StorageError


class NewBlob(Begun):
    """A file of bytes being written: what libraries write to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PIECE_SUFFIX)

    def write(self, data: bytes | memoryview) -> int:
        left = memoryview(data).cast("B")
        total = len(left)
        with storing(self.path, "write"):
            while len(left):
                left = left[os.write(self._descriptor, left) :]
        faults.reach("file.half")
        return total

    def finish(self) -> FileRow:
        """Make the file durable, and the folder's entry with it."""
        with storing(self.path, "write"):
            self.check(self.bytes)
        return self.synced()


def read_blob(path: Path, file: FileRow, table: str) -> memoryview:
    """Map a file whose bytes are those that were written.

    Raises:
        StorageError: It is damaged, or a link. A missing file is a plain `FileNotFoundError`.
    """
    whole = map_file(path, file, table)
    checks = list(ALGORITHMS[ALGORITHM][0].iter_unpack(file.checks or b""))
    if len(checks) != 1 or checks[0][0] != file.size:
        raise StorageError(f"Cannot read {path} of table '{table}': it has no checksum.")
    verify_bytes(whole, path, file, table, 0, *checks[0])
    return memoryview(whole)
