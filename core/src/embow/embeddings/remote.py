"""What providers share that call a server: settings, one client a process, cutting of requests."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from embow.embeddings._calling import given_up
from embow.embeddings._loading import load_once
from embow.embeddings.types import Limits, external, operational

T = TypeVar("T")

# Settings that repeat: annotate a field with one, and give it a default and, where it says more
# than the description here, Field(description=...).

ServerAddress = Annotated[
    str | None, operational, external, Field(description="Address to call instead of the vendor's.")
]
Elsewhere = Annotated[str | None, operational, external]
"""Any other text that decides whom data and keys go to: an account, a profile, a project."""
Timeout = Annotated[float, operational, Field(gt=0, description="Seconds one request may take.")]
PerMinute = Annotated[
    float | None, operational, Field(gt=0, description="Limit of your account, a minute.")
]


_at_exit = contextlib.ExitStack()
atexit.register(_at_exit.close)


def client_once(
    key: Hashable,
    secrets: Iterable[str | None],
    make: Callable[[], T],
    close: Callable[[T], object],
) -> T:
    """Return the client for these settings, making it once a process.

    Functions with equal settings and keys share one client; another key gets another client.
    A forked child makes its own, because connections must not be shared between processes.

    Args:
        key: The settings a client is made from, without secrets.
        secrets: The secrets it is made from. Only their digest is kept.
        make: Called without arguments; the client must be safe to use from several threads.
        close: Called with the client when the process ends.
    """
    digest = hashlib.sha256()
    for secret in secrets:
        digest.update(b"0" if secret is None else hashlib.sha256(secret.encode()).digest())
    process = os.getpid()

    def open_client() -> T:
        client = make()
        _at_exit.callback(_close, process, close, client)
        return client

    return load_once(("client", key, digest.digest(), process), open_client)


def _close(process: int, close: Callable[[T], object], client: T) -> None:
    if process == os.getpid():  # a forked child leaves its parent's connections alone
        close(client)


def split_to_limits(
    inputs: Sequence[Any], limits: Limits, count_tokens: Callable[[Sequence[Any]], list[int]]
) -> Iterator[Sequence[Any]]:
    """Cut inputs into requests a provider accepts, in order.

    An input that is larger than a whole request makes a request of its own: the provider says
    what is wrong with it.

    Args:
        inputs: What to embed.
        limits: Items, tokens and bytes of one request.
        count_tokens: Called only where the limits name tokens a request.
    """
    measures: list[tuple[Any, int]] = []
    if limits.max_tokens_per_request is not None:
        measures.append((np.array(count_tokens(inputs)), limits.max_tokens_per_request))
    if limits.max_bytes_per_request is not None:
        measures.append((np.array([size_of(v) for v in inputs]), limits.max_bytes_per_request))
    start = 0
    while start < len(inputs):
        most = min(limits.max_items or len(inputs), len(inputs) - start)
        count = fitting(most, ((each[start:], room) for each, room in measures))
        yield inputs[start : start + max(1, count)]
        start += max(1, count)


def fitting(most: int, measures: Iterable[tuple[NDArray[np.int64], int | None]]) -> int:
    """Return how many of the first inputs, ``most`` at most, fit into a request.

    ``measures`` are what each input takes of something, and the room there is; ``None``: enough.
    """
    for each, room in measures:
        if room is not None:
            most = min(most, int(np.searchsorted(np.cumsum(each[:most]), room, side="right")))
    return most


def size_of(value: Any) -> int:
    """Return the bytes of a text, as UTF-8, or of binary data; 0 for any other input."""
    if isinstance(value, str):
        return len(value.encode(errors="replace"))
    return len(value) if isinstance(value, (bytes, bytearray, memoryview)) else 0


__all__ = [
    "Elsewhere",
    "PerMinute",
    "ServerAddress",
    "Timeout",
    "client_once",
    "fitting",
    "given_up",
    "size_of",
    "split_to_limits",
]
