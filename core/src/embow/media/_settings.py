"""What may be read from where, and how much of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from embow.embeddings.types import External, operational
from embow.errors import ConfigurationError

PRIVATE_HOSTS_VARIABLE = "EMBOW_ALLOW_PRIVATE_HOSTS"
ROOT_VARIABLE = "EMBOW_MEDIA_ROOT"

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Limits on reading media. Tables keep them with the function they belong to.

    Text in a media column may be the path of any file this process can read, also where the rows
    are someone else's; a provider may send what it holds to its server. Confine reading with
    ``root``, or for the whole process with ``EMBOW_MEDIA_ROOT``. Settings that come with a table
    may forbid more than the defaults do; what allows more must be allowed by the process.

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


def widens(value: Any) -> bool:
    """Tell whether settings, as a table's metadata hold them, allow more than the defaults."""
    try:
        asked = _adapter().validate_python(value)
    except (ValidationError, RecursionError):
        return True  # the provider says what is wrong with them, where they are allowed
    usual = MediaSettings()
    return any(
        not getattr(asked, each.name) <= getattr(usual, each.name)  # which NaN is not either
        for each in fields(MediaSettings)
        if each.name != "root"
    )


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[MediaSettings]:
    return TypeAdapter(MediaSettings)


MediaField = Annotated[MediaSettings, operational, External(widens)]
"""Annotate the setting ``media`` of a provider with this: a table must not widen what is read."""
