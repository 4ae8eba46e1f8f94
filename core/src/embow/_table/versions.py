"""Earlier versions of a table as its users see them: numbers, tags, and what made each.

Called by ``Table``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

from embow._table.handle import Handle
from embow.engines.contract import EngineTable
from embow.errors import ConfigurationError, VersionNotFoundError
from embow.pipeline._cancel import stop_if_cancelled


class Tags:
    """Names of versions; a version that has one is kept.

    Example:
        ``table.tags.create("before-the-move", table.version)``
    """

    def __init__(self, stored: EngineTable) -> None:
        self._stored = stored

    def list(self) -> dict[str, dict[str, int]]:
        """Return the version each tag names: ``{"v1": {"version": 3}}``."""
        return {tag: {"version": version} for tag, version in self._stored.tags().items()}

    def get_version(self, tag: str) -> int:
        """Return the version a tag names.

        Raises:
            TagError: There is no such tag.
        """
        with self._stored.snapshot(_tag(tag)) as snapshot:
            return snapshot.base.version

    def create(self, tag: str, version: int) -> None:
        """Name a version.

        Raises:
            TagError: The tag is there already.
            VersionNotFoundError: There is no such version.
        """
        self._stored.set_tag(_tag(tag), _number(version))

    def update(self, tag: str, version: int) -> None:
        """Let a tag name another version.

        Raises:
            TagError: There is no such tag.
            VersionNotFoundError: There is no such version.
        """
        self._stored.set_tag(_tag(tag), _number(version), move=True)

    def delete(self, tag: str) -> None:
        """Remove a tag; its version is then kept no longer than others.

        Raises:
            TagError: There is no such tag.
        """
        self._stored.delete_tag(_tag(tag))


def list_versions(handle: Handle) -> list[dict[str, Any]]:
    """Return the versions that can be read. See ``Table.list_versions``."""
    return [
        {
            "version": each.version,
            "timestamp": each.timestamp.astimezone(UTC).replace(tzinfo=None),
            "metadata": {"total_rows": str(each.rows), "operation": each.operation},
        }
        for each in handle.stored.versions()
    ]


def checked_out(handle: Handle, version: int | str) -> Handle:
    """Return a handle on one version. See ``Table.checkout``."""
    wanted = version if isinstance(version, str) else _number(version)
    with handle.stored.snapshot(wanted) as snapshot:
        return replace(handle, at=snapshot.base.version)


def restored(handle: Handle, version: int | str | None) -> Handle:
    """Make an earlier version the latest. See ``Table.restore``."""
    wanted = handle.at if version is None else version
    if wanted is None:
        raise ConfigurationError(
            "restore() makes the version that is checked out the latest: call checkout(version) "
            "first, or restore(version)."
        )
    stop_if_cancelled()
    handle.stored.restore(wanted if isinstance(wanted, str) else _number(wanted))
    return replace(handle, at=None)


def _number(version: Any) -> int:
    if isinstance(version, bool) or not isinstance(version, int):
        raise VersionNotFoundError(
            f"There is no version {version!r:.60}: versions are whole numbers from 1, or tags."
        )
    return version


def _tag(tag: Any) -> str:
    if not isinstance(tag, str) or not tag:
        raise ConfigurationError(f"A tag is a name, not {tag!r:.60}.")
    return tag
