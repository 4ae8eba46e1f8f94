"""What OpenAI says about its own models."""

from __future__ import annotations

ADA_002 = "text-embedding-ada-002"

NATIVE_DIMS = {
    ADA_002: 1536,
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
}
"""Length of the vectors where ``dimensions`` is not given."""

MAX_ITEMS = 2048
MAX_TOKENS_PER_ITEM = 8191
MAX_TOKENS_PER_REQUEST = 300_000


def is_named(model: str, asked: str) -> bool:
    """Tell whether the model that answered can be the one asked for.

    Servers add a version or a folder to a name, or leave out the owner.
    """
    names = [name.casefold().rstrip("/").rpartition("/")[2] for name in (model, asked)]
    return names[0].startswith(names[1]) or names[1].startswith(names[0])
