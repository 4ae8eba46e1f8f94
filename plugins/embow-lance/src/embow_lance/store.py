"""Where a database lies: its addresses, settings and files."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import lance
from lance.file import LanceFileSession

from embow.engines.contract import Capability, Snapshot
from embow.errors import TableNotFoundError, VersionNotFoundError
from embow_lance.failures import is_missing, storing

SUFFIX = ".lance"
_NOTES = "_embow"

_CAPABILITIES = frozenset(
    {
        Capability.VERSIONS,
        Capability.TAGS,
        Capability.RESTORE,
        Capability.ORDERED_SCAN,
        Capability.STABLE_ROW_IDS,
        Capability.FRAGMENTS,
        Capability.MULTIVECTOR,
    }
)

_lock = threading.Lock()
_held: dict[str, WeakSet[Snapshot]] = {}
"""Snapshots that were not closed, by address, whichever engine of this process opened them."""


def capabilities_at(folder: Path | None) -> frozenset[Capability]:
    """Return what can be done in a folder of this machine, or on an object store."""
    return _CAPABILITIES if folder is not None else _CAPABILITIES | {Capability.REMOTE_WRITE}


@dataclass(frozen=True)
class Store:
    """One table's dataset.

    Attributes:
        name: Name of the table.
        uri: Address of the dataset.
        folder: The same as a path, where it is on this machine.
        options: Storage options, with references resolved.
        session: Lance's caches, shared by the tables of one database.
    """

    name: str
    uri: str
    folder: Path | None
    options: Mapping[str, str]
    session: Any

    def capabilities(self, dataset: lance.LanceDataset) -> frozenset[Capability]:
        """Return what can be done with a dataset; less where another program made it."""
        every = capabilities_at(self.folder)
        return every if dataset.has_stable_row_ids else every - {Capability.STABLE_ROW_IDS}

    def latest(self) -> lance.LanceDataset:
        """Return the current version of the dataset.

        Raises:
            TableNotFoundError: There is none.
        """
        try:
            with storing(f"open table '{self.name}'"):
                return lance.dataset(
                    self.uri, storage_options=dict(self.options), session=self.session
                )
        except OSError as exc:
            if exc.__cause__ is None or not is_missing(exc.__cause__):
                raise
            raise TableNotFoundError(f"There is no table '{self.name}' (any more).") from exc

    def at(self, dataset: lance.LanceDataset, version: int | str) -> lance.LanceDataset:
        """Return an earlier version of the dataset, by number or tag.

        Raises:
            VersionNotFoundError: There is none.
        """
        if version == dataset.version:
            return dataset
        try:
            with storing(f"read version {version!r} of table '{self.name}'"):
                return dataset.checkout_version(version)
        except OSError as exc:
            if exc.__cause__ is None or not is_missing(exc.__cause__):
                raise
            raise VersionNotFoundError(
                f"Table '{self.name}' has no version {version!r} (any more); the current one is "
                f"{dataset.version}."
            ) from exc

    def files(self) -> LanceFileSession:
        """Return a way to single files below the dataset."""
        return LanceFileSession(self.uri, storage_options=dict(self.options))

    def missing(self, paths: Iterable[str]) -> list[str]:
        """Return which data files are not there."""
        if self.folder is not None:
            data = self.folder / "data"
            return [path for path in paths if not (data / path).is_file()]
        with storing(f"look into table '{self.name}'"):
            files = self.files()
            return [path for path in paths if not files.contains(f"data/{path}")]

    def remove(self, paths: Iterable[str]) -> None:
        """Remove data files; those that are gone are no matter."""
        if self.folder is not None:
            for path in paths:
                with storing(f"remove files of table '{self.name}'"):
                    (self.folder / "data" / path).unlink(missing_ok=True)
            return
        with storing(f"remove files of table '{self.name}'"):
            files = self.files()
            for path in paths:
                if files.contains(f"data/{path}"):
                    files.delete_file(f"data/{path}")

    def notes(self) -> list[str]:
        """Return the names of the notes kept beside the dataset."""
        with storing(f"look into table '{self.name}'"):
            return [path.rpartition("/")[2] for path in self.files().list(_NOTES)]

    def note(self, name: str, content: bytes) -> None:
        """Keep a note, durably."""
        with storing(f"write table '{self.name}'"), tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            self.files().upload_file(file.name, f"{_NOTES}/{name}")
        self.sync([f"{_NOTES}/{name}", _NOTES])

    def noted(self, name: str) -> bytes:
        """Return the content of a note."""
        with storing(f"read table '{self.name}'"), tempfile.TemporaryDirectory() as folder:
            self.files().download_file(f"{_NOTES}/{name}", f"{folder}/{name}")
            return Path(folder, name).read_bytes()

    def forget(self, name: str) -> None:
        """Remove a note."""
        with storing(f"write table '{self.name}'"):
            self.files().delete_file(f"{_NOTES}/{name}")

    def hold(self, snapshot: Snapshot) -> None:
        """Keep the version of a snapshot until it is released, or garbage.

        This is known to this process alone. From those of others a version is safe by its age.
        """
        with _lock:
            _held.setdefault(self.uri, WeakSet()).add(snapshot)

    def release(self, snapshot: Snapshot) -> None:
        """Let go of a snapshot."""
        with _lock:
            _held.get(self.uri, WeakSet()).discard(snapshot)

    def held(self) -> set[int]:
        """Return the versions that snapshots of this process hold."""
        with _lock:
            return {snapshot.base.version for snapshot in _held.get(self.uri, WeakSet())}

    def sync(self, paths: Iterable[str]) -> None:
        """Make files below the dataset durable on a disk, which Lance leaves to chance."""
        if self.folder is None:
            return
        with storing(f"write table '{self.name}'"):
            for path in {each for name in paths for each in (name, os.path.dirname(name))}:
                with suppress(FileNotFoundError):  # Removed by another process meanwhile.
                    descriptor = os.open(self.folder / path, os.O_RDONLY)
                    try:
                        os.fsync(descriptor)
                    finally:
                        os.close(descriptor)

    def sync_version(self, version: int) -> None:
        """Make the manifest of a version durable."""
        names = (f"{2**64 - 1 - version:020}.manifest", f"{version}.manifest")
        self.sync(f"_versions/{name}" for name in names)
