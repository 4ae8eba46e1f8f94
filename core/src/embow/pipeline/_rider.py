"""One stored source that is embedded again, to see whether the model is still the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings._retry import CallFailedError
from embow.errors import EmbowError

SAME_MODEL = 0.999
"""Least cosine similarity of two embeddings of one input by one model."""
_LARGEST = 256 * 1024


@dataclass(slots=True)
class Rider:
    """A stored source that rides along in the first request of a call.

    Attributes:
        value: The source.
        vector: The vector it has.
        differs: Makes the error for a new vector of another model, from the similarity.
        same: Called where the new vector is the same model's.
    """

    value: Any
    vector: NDArray[np.floating]
    differs: Callable[[float], EmbowError]
    same: Callable[[], None]
    waiting: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size(self) -> int:
        """Bytes of the source, an upper bound for its tokens."""
        value = self.value
        return len(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)

    def board(self) -> bool:
        """Tell the one request that asks first that it carries the source."""
        with self._lock:
            first, self.waiting = self.waiting, False
        return first

    def fits(self, most: int | None) -> bool:
        """Tell whether it may ride: what is cut or averaged has no vector to compare."""
        return self.size <= min(_LARGEST, self.size if most is None else most)

    def compare(self, vector: NDArray[np.floating] | None) -> None:
        """Compare the source's new vector, where there is one, with the one it has.

        Raises:
            EmbowError: Another model made it.
        """
        if vector is None:
            return
        similarity = cosine(vector, self.vector)
        if similarity < SAME_MODEL:
            raise self.differs(similarity)
        self.same()


Call = Callable[[list[Any], int], NDArray[np.float32]]


def call_along(
    rider: Rider, call: Call, values: list[Any], tokens: int, alone: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return the vectors of some inputs, and of the source, embedded with them or ``alone``.

    The source has none where the provider refuses them: whose fault that is shows without it.
    """
    if alone:
        (again,) = call([rider.value], 0)
        return call(values, tokens), again
    try:
        vectors = call([*values, rider.value], tokens)
    except CallFailedError as failed:
        if not failed.failure.kind.of_inputs:
            raise
        return call(values, tokens), None
    return vectors[:-1], vectors[-1]


def cosine(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Return the cosine similarity of two vectors, 0 where one is zero or lengths differ.

    Several vectors count as one, one after the other.
    """
    if one.shape != other.shape:
        return 0.0
    if np.array_equal(one, other):  # Packed bits may all be unset.
        return 1.0
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else 0.0
