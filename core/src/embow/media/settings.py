"""What may be read from where, and how much of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from embow.errors import ConfigurationError

PRIVATE_HOSTS_VARIABLE = "EMBOW_ALLOW_PRIVATE_HOSTS"
ROOT_VARIABLE = "EMBOW_MEDIA_ROOT"

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Limits on reading media. Tables keep them with the function they belong to.

    Two environment variables overrule what a table or a program says, for those who run the
    process: ``EMBOW_ALLOW_PRIVATE_HOSTS`` (1 or 0), and ``EMBOW_MEDIA_ROOT``, a folder outside
    which no file is read.

    Attributes:
        fetch: Whether http and https addresses are fetched at all.
        allow_private_hosts: Whether loopback, private, link-local and reserved addresses are.
        root: Folder outside which no file is read, links followed; ``None`` sets no bound.
        max_bytes: Bytes of one input.
        max_pixels: Width times height of one image or video frame.
        timeout: Seconds to fetch one input in, redirects and further attempts included.
        max_redirects: Redirects followed for one input.
        retries: Attempts after the first for a server that is down or busy.
        workers: Threads that fetch and decode.
    """

    fetch: bool = True
    allow_private_hosts: bool = False
    root: str | None = None
    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64_000_000
    timeout: float = 30.0
    max_redirects: int = 5
    retries: int = 2
    workers: int = 16

    def reaches_private_hosts(self) -> bool:
        """Return whether private addresses may be fetched from in this process.

        Raises:
            ConfigurationError: The environment variable is neither yes nor no.
        """
        asked = os.environ.get(PRIVATE_HOSTS_VARIABLE, "").strip().lower()
        if asked and asked not in _YES + _NO:
            raise ConfigurationError(f"{PRIVATE_HOSTS_VARIABLE}={asked!r} must be 1 or 0.")
        return asked in _YES if asked else self.allow_private_hosts

    def roots(self) -> tuple[Path, ...]:
        """Return the folders that must all hold a file for it to be read."""
        given = (self.root, os.environ.get(ROOT_VARIABLE))
        return tuple(Path(root).expanduser().resolve() for root in given if root)
