"""Physical names: what columns are stored under, and which names are embow's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

import pyarrow as pa

from embow.engines.contract import NAME_BYTES, RESERVED, is_physical
from embow.errors import UnknownColumnError, near_name

HIDDEN_PREFIX = "_embow"
HASH_TYPE = pa.binary(16)
_NO_LETTER = re.compile(r"[^A-Za-z0-9_]+")


def physical_name(text: str) -> str:
    """Return a name that every engine can store, the text itself where it is one."""
    if is_physical(text) and text not in RESERVED:
        return text
    readable = _NO_LETTER.sub("_", text)[: NAME_BYTES - 10]
    if not readable or readable[0].isdigit():
        readable = f"_{readable}"
    return f"{readable}_{blake2b(text.encode(), digest_size=4).hexdigest()}"


def hash_column(physical: str) -> str:
    """Return the hidden column beside a physical vector column."""
    return physical_name(f"{HIDDEN_PREFIX}_hash_{physical}")


def new_column(vector: str, fingerprint: str) -> str:
    """Return the physical column that a model fills, named after it, to be taken up again."""
    return physical_name(f"{vector}__{fingerprint[:12]}")


def begun_columns(vector: str, stored: Iterable[str]) -> set[str]:
    """Return the physical columns that changes of a column's model began, finished or not."""
    name = re.escape(vector)
    begun = re.compile(
        rf"(?:{name}__[0-9a-f]{{12}}(?:__[0-9a-f]{{8}})*|{HIDDEN_PREFIX}_new_{name}_[0-9a-f]{{16}})"
    )
    return {each for each in stored if begun.fullmatch(each)}


def is_hidden(name: str) -> bool:
    """Return whether a name belongs to embow and not to the user."""
    return name.startswith(HIDDEN_PREFIX)


def unknown_column(name: str, known: Iterable[str], listed: Iterable[str]) -> UnknownColumnError:
    """Return the error for a column that is not there: the nearest known one, and those listed."""
    return UnknownColumnError(
        f"The table has no column {name!r}.{near_name(str(name), known)} "
        f"Its columns: {', '.join(listed)}."
    )


def free_name(text: str, taken: Iterable[str]) -> str:
    """Return a physical name that is not taken."""
    name = physical_name(text)
    while name in taken:  # What another column's name was shortened to is itself a name.
        name = physical_name(f"{name} ")
    return name
