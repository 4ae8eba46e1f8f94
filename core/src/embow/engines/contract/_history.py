"""Earlier versions of a table: listed, named, gone back to; refused where there are none."""

from __future__ import annotations

from embow.engines.contract._records import Capability, Commit, Version, require


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
