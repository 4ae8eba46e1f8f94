"""Earlier versions of a table as its users name them: numbers and tags."""

from __future__ import annotations

from typing import Any

from embow.engines.contract import EngineTable
from embow.errors import ConfigurationError, VersionNotFoundError


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
        self._stored.set_tag(_tag(tag), version_number(version))

    def update(self, tag: str, version: int) -> None:
        """Let a tag name another version.

        Raises:
            TagError: There is no such tag.
            VersionNotFoundError: There is no such version.
        """
        self._stored.set_tag(_tag(tag), version_number(version), move=True)

    def delete(self, tag: str) -> None:
        """Remove a tag; its version is then kept no longer than others.

        Raises:
            TagError: There is no such tag.
        """
        self._stored.delete_tag(_tag(tag))


def version_number(version: Any) -> int:
    """Return a version's number, sure that it is one."""
    if isinstance(version, bool) or not isinstance(version, int):
        raise VersionNotFoundError(
            f"There is no version {version!r:.60}: versions are whole numbers from 1, or tags."
        )
    return version


def _tag(tag: Any) -> str:
    if not isinstance(tag, str) or not tag:
        raise ConfigurationError(f"A tag is a name, not {tag!r:.60}.")
    return tag
