"""How big the pieces of a table are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from embow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds on pieces; given as ``storage_options``.

    Attributes:
        block_rows: Rows of one record batch in a file, at most.
        block_bytes: Bytes of one record batch, about. Scores and masks are made a block at a
            time, so that they stay in the processor's cache.
        fragment_bytes: Bytes after which a new file is begun.
        small_rows: An append of more rows goes to a file of its own.
        small_bytes: As ``small_rows``, in bytes.
        tail_rows: Rows of small appends gathered in the catalog before they move to a file.
        tail_bytes: As ``tail_rows``, in bytes.
        busy_seconds: How long to wait for another writer.
    """

    block_rows: int = 2**16
    block_bytes: int = 16 * _MIB
    fragment_bytes: int = 256 * _MIB
    small_rows: int = 1024
    small_bytes: int = _MIB
    tail_rows: int = 4096
    tail_bytes: int = 8 * _MIB
    busy_seconds: int = 60


def sizes_from(options: Mapping[str, Any]) -> Sizes:
    """Return sizes from storage options.

    Raises:
        ConfigurationError: An option is unknown or not a positive whole number.
    """
    known = [each.name for each in fields(Sizes)]
    for name, value in options.items():
        if name not in known:
            raise ConfigurationError(
                f"The embedded engine has no storage option '{name}'. It has: {', '.join(known)}."
            )
        if not isinstance(value, int) or value < 1:
            raise ConfigurationError(
                f"Storage option '{name}' must be a whole number above 0, not {value!r}."
            )
    return Sizes(**options)
