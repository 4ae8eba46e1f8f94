"""Helpers that embedding functions written for LanceDB import."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Never

import numpy as np
import pyarrow as pa

from embow.errors import MissingCredentialError
from embow_lancedb.util import attempt_import_or_raise

__all__ = [
    "AUDIO",
    "IMAGES",
    "TEXT",
    "api_key_not_found_help",
    "attempt_import_or_raise",
    "weak_lru",
]

TEXT = str | list[str] | pa.Array | pa.ChunkedArray | np.ndarray
IMAGES = str | bytes | list[str] | list[bytes] | pa.Array | pa.ChunkedArray | np.ndarray
AUDIO = IMAGES


def api_key_not_found_help(provider: str) -> Never:
    """Refuse to go on without a key.

    Raises:
        MissingCredentialError: Always.
    """
    name = f"{provider.upper()}_API_KEY"
    raise MissingCredentialError(f"{provider} needs a key: set the environment variable {name}.")


def weak_lru(maxsize: int = 128) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that keeps what a method returned, by its arguments."""
    return functools.lru_cache(maxsize)
