"""What a function made of its inputs, read and checked: one vector of each, or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings.types import VectorForm
from embow.errors import BadOutputError

Vectors = NDArray[np.float32]
"""Vectors, shape ``(n, ndims)``; where an input has several, an array of ``n`` objects, each of
shape ``(vectors, ndims)``."""


class WrongLengthError(BadOutputError):
    """Vectors of another length than promised: wrong for every input, whichever it is."""


def as_vectors(vectors: Any, count: int, ndims: int) -> Vectors:
    """Return vectors as a contiguous float32 array of shape ``(count, ndims)``.

    Raises:
        BadOutputError: They are none, or of another number or length.
    """
    try:
        array = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as exc:
        raise BadOutputError(
            f"The provider did not return an array of numbers for {count} inputs: {exc}"
        ) from exc
    if array.ndim == 2 and len(array) and array.shape[1] != ndims:
        raise WrongLengthError(
            f"The provider returned vectors of {array.shape[1]} dimensions; expected {ndims}."
        )
    if array.shape != (count, ndims):
        raise BadOutputError(
            f"The provider returned an array of shape {array.shape} for {count} inputs of "
            f"{ndims} dimensions; expected ({count}, {ndims})."
        )
    return array


def read_vectors(answer: Any, count: int, ndims: int, form: VectorForm) -> Vectors:
    """Return what a function made of so many inputs, in the form it has.

    Raises:
        BadOutputError: It has another form, or there is another number of them.
    """
    if form.multi:
        vectors = ragged([_matrix(each, ndims) for each in _listed(answer)])
        if len(vectors) != count:
            raise BadOutputError(
                f"The provider returned vectors for {len(vectors)} inputs; expected {count}."
            )
    else:
        vectors = as_vectors(answer, count, ndims)
    if form.whole:
        limits = np.iinfo(form.value_type)
        for each in vectors if form.multi else [vectors]:
            if not ((each >= limits.min) & (each <= limits.max) & (each % 1 == 0)).all():
                raise BadOutputError(
                    f"The provider returned numbers that are no {form.value_type}, which it says "
                    "it makes."
                )
    return vectors


def ragged(matrices: Sequence[Vectors]) -> Vectors:
    """Return the vectors of several inputs, each with any number of them, as one array."""
    joined = np.empty(len(matrices), dtype=object)
    for at, each in enumerate(matrices):
        joined[at] = each
    return joined


def _listed(answer: Any) -> list[Any]:
    try:
        return list(answer)
    except TypeError as exc:
        raise BadOutputError(f"The provider did not return a list of arrays: {exc}") from exc


def _matrix(vectors: Any, ndims: int) -> Vectors:
    """Return the vectors of one input, shape ``(vectors, ndims)``."""
    try:
        matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as exc:
        raise BadOutputError(f"The provider did not return arrays of numbers: {exc}") from exc
    if matrix.ndim != 2:
        raise BadOutputError(
            f"The provider returned an array of shape {matrix.shape} for an input; expected "
            f"(vectors, {ndims})."
        )
    if matrix.shape[1] != ndims:
        raise WrongLengthError(
            f"The provider returned vectors of {matrix.shape[1]} dimensions; expected {ndims}."
        )
    return matrix


def unusable(vectors: Vectors, form: VectorForm) -> NDArray[np.intp]:
    """Return the rows that hold NaN or infinity, only zeros, or no vector at all."""
    if form.multi:
        rows = enumerate(vectors)
        empty = [at for at, each in rows if not each.size or _useless(each, form)]
        return np.array(empty, dtype=np.intp)
    if form.whole:
        return np.empty(0, np.intp)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    suspects = np.flatnonzero(~np.isfinite(squares) | (squares == 0))
    if not len(suspects):
        return suspects
    # The square of a very large or very small number leaves float32 where the number does not.
    bad = [at for at in suspects if _useless(vectors[at], form)]
    return np.array(bad, dtype=np.intp)


def _useless(vectors: Vectors, form: VectorForm) -> bool:
    return not np.isfinite(vectors).all() or not (form.whole or vectors.any())
