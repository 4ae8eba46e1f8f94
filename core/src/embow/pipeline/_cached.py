"""What the cache holds for one function in one role, as one call sees it.

What a remote function made is paid for and always kept. What a local one made is kept where that
took much longer than keeping does, and it is used only by a process that has seen that the model
is still the same: its part of the cache holds the vector of one text (of one source, where the
function takes no text), which each process embeds once before it uses the part.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embow.embeddings._base import EmbeddingFunction, TextEmbeddingFunction
from embow.embeddings._made import ragged
from embow.pipeline._cache import EmbeddingCache, Vectors
from embow.pipeline._requests import Request, blank_vectors, bytes_of
from embow.pipeline._rider import SAME_MODEL, cosine

logger = logging.getLogger("embow")

WORTH = 10
"""How many times longer than keeping a vector it must take a local function to make it."""
LEAST_SECONDS = 0.05
"""Seconds in all from which what a local function does is kept. Less is soon done again."""
SAMPLE = "embow embeds this sentence again to see whether a model is still the same."

_SAMPLE_DIGEST = b"embow: a sample."
_LARGEST_SAMPLE = 1024**2
_SECONDS_A_WRITE = 2e-4  # guesses until the first write is measured
_SECONDS_A_BYTE = 1e-8


@dataclass(slots=True, eq=False)
class CachedVectors:
    """What the cache holds for one function in one role; nothing where there is no cache.

    Args:
        cache: Where vectors are kept, if they are.
        function: What makes them.
        space: What its vectors of one role are kept under.
        ndims: Their length.
        always: Whether to keep vectors however little they cost to make.
        embed: Embeds the sample, counting nothing; ``None`` where the model needs no such look:
            a remote one is the vendor's to keep, and an estimate embeds nothing.
    """

    _cache: EmbeddingCache | None
    _function: EmbeddingFunction
    _space: bytes
    _ndims: int
    _always: bool
    _embed: Callable[[list[Any]], Vectors] | None
    _made: float = float("inf")  # seconds an input
    _taken: float = 0.0
    _spent: float = 0.0
    _kept: int = 0

    @property
    def _part(self) -> tuple[bytes, type]:
        return self._space, type(self._function)

    def get(self, digests: Sequence[bytes | None]) -> tuple[list[int], Vectors]:
        """Return which of the digests are known, and their vectors in the same order."""
        if self._cache is None or not self._may_read(self._cache):
            return [], blank_vectors(0, self._ndims, self._function.vector_form())
        known, keys = _cacheable(digests)
        found, vectors = self._held(self._cache, keys)
        return [known[at] for at in found], vectors

    def _held(self, cache: EmbeddingCache, keys: list[bytes]) -> tuple[list[int], Vectors]:
        several = self._function.vector_form().multi
        return cache.get(self._space, keys, self._ndims, several=several)

    def put(self, request: Request, vectors: Vectors, seconds: float) -> None:
        """Keep the vectors of a request that took so long, where it is worth it.

        Inputs without a digest are not kept.
        """
        cache = self._cache
        if cache is None or not self._worth(vectors, seconds):
            return
        if not self._may_write(cache, request.values, vectors):
            return
        known, keys = _cacheable(request.digests)
        started = time.thread_time()  # waiting for others who write is no cost of keeping
        cache.put(self._space, keys, vectors if len(keys) == len(vectors) else vectors[known])
        self._spent += time.thread_time() - started
        self._kept += len(keys)

    def drop(self) -> None:
        """Forget all of it, and keep nothing more in this call."""
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.drop(self._space)

    def _worth(self, vectors: Vectors, seconds: float) -> bool:
        if self._always:
            return True
        count = len(vectors)
        self._taken += seconds
        self._made = min(self._made, seconds / count)  # the first call may have loaded a model
        guess = (_SECONDS_A_WRITE + bytes_of(vectors) * _SECONDS_A_BYTE) / count
        keeping = self._spent / self._kept if self._kept else guess
        return self._taken >= LEAST_SECONDS and self._made >= WORTH * keeping

    # -- whether the model is still the same ----------------------------------------------

    def _may_read(self, cache: EmbeddingCache) -> bool:
        if self._embed is None:
            return True
        with cache.lock:
            return self._part in cache.sound or (cache.holds(self._space) and self._compared(cache))

    def _may_write(self, cache: EmbeddingCache, values: list[Any], vectors: Vectors) -> bool:
        if self._embed is None:
            return True
        with cache.lock:
            if self._part in cache.sound:
                return True
            if cache.holds(self._space):
                return self._compared(cache)
            if isinstance(self._function, TextEmbeddingFunction):
                made = self._sampled(SAMPLE)
            else:
                made = self._noted(cache, values, vectors)
            if made is None:
                return self._always
            self._begin(cache, made)
            return True

    def _compared(self, cache: EmbeddingCache) -> bool:
        """Embed the sample, and drop the part where its vector is another than was kept."""
        text = isinstance(self._function, TextEmbeddingFunction)
        sample = SAMPLE if text else _sample_of(cache.note(self._space))
        if sample is None:
            return self._always
        made = self._sampled(sample)
        if made is None:
            return False
        found, kept = self._held(cache, [_SAMPLE_DIGEST])
        similarity = cosine(made, kept[0]) if found else 0.0
        if similarity < SAME_MODEL:
            logger.warning(
                "Another model than before answers as provider %r: the vector of a sample has "
                "cosine similarity %.4f with the one in the cache. What the cache held of it was "
                "dropped.",
                self._function.name_of_provider(),
                similarity,
            )
            cache.drop(self._space)
            self._begin(cache, made)
        cache.sound.add(self._part)
        return True

    def _begin(self, cache: EmbeddingCache, sample: Vectors) -> None:
        cache.put(self._space, [_SAMPLE_DIGEST], _single(sample))
        cache.sound.add(self._part)

    def _sampled(self, sample: Any) -> Vectors | None:
        """Return the sample's vector, ``None`` where it cannot be embedded now."""
        assert self._embed is not None
        try:
            made: Vectors = self._embed([sample])[0]
        except Exception as error:
            logger.debug("A sample for the cache could not be embedded: %s", error)
            return None
        return made

    def _noted(self, cache: EmbeddingCache, values: list[Any], vectors: Vectors) -> Vectors | None:
        """Make the first source that can be kept the sample, and return its vector."""
        for at, value in enumerate(values):
            text = isinstance(value, str)
            if text or isinstance(value, bytes):
                raw = value.encode("utf-8", "surrogatepass") if text else value
                if len(raw) <= _LARGEST_SAMPLE:
                    cache.keep_note(self._space, (b"t" if text else b"b") + raw)
                    made: Vectors = vectors[at]
                    return made
        return None


def _single(vectors: Vectors) -> Vectors:
    """Return what was made of one input as what was made of a list of one."""
    return ragged([vectors]) if vectors.ndim > 1 else vectors[np.newaxis]


def _sample_of(note: bytes | None) -> str | bytes | None:
    if note is None:
        return None
    return note[1:].decode("utf-8", "surrogatepass") if note[:1] == b"t" else note[1:]


def _cacheable(digests: Sequence[bytes | None]) -> tuple[Sequence[int], list[bytes]]:
    """Return the positions that have a digest, and the digests."""
    keys = [digest for digest in digests if digest is not None]
    if len(keys) == len(digests):
        return range(len(keys)), keys
    return [at for at, digest in enumerate(digests) if digest is not None], keys
