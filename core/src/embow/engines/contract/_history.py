"""Earlier versions of a table: listed, named, gone back to; refused where there are none."""

from __future__ import annotations

import re
from collections.abc import Mapping

from embow.engines.contract._records import Capability, Commit, Version, require
from embow.errors import TagError, near_name

_TAG = re.compile(r"[A-Za-z0-9._-]+\Z")


def check_tag(table: str, name: str, tags: Mapping[str, int], *, new: bool) -> None:
    """Refuse a tag that is there and must be new, or is not there and must be.

    Raises:
        TagError: The sentence names the tags there are.
    """
    if new and name in tags:
        raise TagError(
            f"Table '{table}' has a tag '{name}' already, on version {tags[name]}; move it instead."
        )
    if not new and name not in tags:
        raise TagError(
            f"Table '{table}' has no tag '{name}'.{near_name(name, tags)} "
            f"Tags: {', '.join(sorted(tags)) or 'none'}."
        )


class History:
    """What a table says of its versions."""

    capabilities: frozenset[Capability] = frozenset()

    # -- what the author of an engine with versions writes ----------------------------------

    def _versions(self) -> list[Version]:
        raise NotImplementedError

    def _tags(self) -> dict[str, int]:
        raise NotImplementedError

    def _set_tag(self, name: str, version: int, *, move: bool) -> None:
        raise NotImplementedError

    def _delete_tag(self, name: str) -> None:
        raise NotImplementedError

    def _restore(self, version: int | str) -> Commit:
        raise NotImplementedError

    # -- what is the same for every engine ------------------------------------------------

    def versions(self) -> list[Version]:
        """Return the versions that can be read, the oldest first."""
        require(self.capabilities, Capability.VERSIONS)
        return self._versions()

    def tags(self) -> dict[str, int]:
        """Return the version each tag names."""
        require(self.capabilities, Capability.TAGS)
        return self._tags()

    def set_tag(self, name: str, version: int, *, move: bool = False) -> None:
        """Name a version, which is then kept; with ``move`` an existing tag is moved.

        Raises:
            TagError: The tag exists, or with ``move`` does not.
            VersionNotFoundError: There is no such version.
        """
        require(self.capabilities, Capability.TAGS)
        if not _TAG.match(name):
            raise TagError(f"Tag {name!r} may have only letters, digits, '.', '-' and '_'.")
        self._set_tag(name, version, move=move)

    def delete_tag(self, name: str) -> None:
        """Remove a tag.

        Raises:
            TagError: There is none of that name.
        """
        require(self.capabilities, Capability.TAGS)
        self._delete_tag(name)

    def restore(self, version: int | str) -> Commit:
        """Make a new version equal to an earlier one, rows, schema and metadata."""
        require(self.capabilities, Capability.RESTORE)
        return self._restore(version)
