"""Products of rows and queries, by whichever way is fastest on this machine.

Which routine reads memory at its full speed differs between processors by a factor of two, and by
how many queries there are. So the ways take turns on the first blocks that are scored, and the one
that took least time stays. They differ in rounding only, which the bound on the error covers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Way = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], object]
"""Takes queries and rows of one number type, and where to put shape ``(rows, queries)``."""

_MEASURABLE = 2**20
"""Bytes of rows from which a duration says something."""

_TRIALS = 8
"""Times that each way is tried: the least time counts, as anything else only adds to it."""

_NEAR = 2**17
"""Numbers that stay in the cache next to a core."""

_SMALL = 3 * 2**17
"""Multiplications up to which BLAS leaves out copying its operands."""

_LOOP_BELOW = 16
"""Queries from which taking them one by one is not worth a trial."""


class Fastest:
    """Several ways to do one thing, until it is known which is fastest.

    Args:
        ways: The first is used where there is too little to measure.
        clock: Returns a time; only differences count.
    """

    def __init__(self, ways: Sequence[Way], clock: Callable[[], float] = time.perf_counter) -> None:
        self._ways = ways
        self._clock = clock
        self._taken: list[list[float]] = [[] for _ in ways]
        self._best: Way | None = None

    def __call__(self, units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any]) -> None:
        """Put the products where they belong."""
        if self._best is not None:
            self._best(units, matrix, out)
        elif matrix.nbytes < _MEASURABLE:
            self._ways[0](units, matrix, out)
        else:
            self._measure(units, matrix, out)

    def _measure(self, units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any]) -> None:
        number = min(range(len(self._ways)), key=lambda each: len(self._taken[each]))
        start = self._clock()
        self._ways[number](units, matrix, out)
        self._taken[number].append((self._clock() - start) / matrix.nbytes)
        if min(map(len, self._taken)) >= _TRIALS:
            least = list(map(min, self._taken))
            self._best = self._ways[least.index(min(least))]


def put_products(units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any]) -> None:
    """Put the product of each query with each row where it belongs.

    Args:
        units: Queries, shape ``(queries, dimensions)``.
        matrix: Rows of any number type, shape ``(rows, dimensions)``.
        out: Of the queries' number type, shape ``(rows, queries)``, contiguous.
    """
    way = _one if len(units) == 1 else _several[units.dtype, len(units).bit_length()]
    if matrix.dtype == units.dtype:
        way(units, matrix, out)
        return
    half = matrix.dtype == np.float16 and units.dtype == np.float32 and _keeps_small_numbers()
    if half:
        units = units * _SHIFT
    for window in _windows(len(matrix), _NEAR // matrix.shape[1]):
        rows = matrix[window]
        way(units, _shifted(rows) if half else rows.astype(units.dtype), out[window])


_SHIFT = np.float32(2.0**112)
"""What the exponents of float16 and float32 begin apart by."""


def _shifted(rows: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return float16 numbers divided by ``_SHIFT``, as float32: exactly, if they are finite.

    Their bits in another place are all it takes, a third of the time of numpy's conversion.
    """
    bits = rows.view(np.int16).astype(np.int32)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70002000), out=bits)
    return bits.view(np.float32)


def _keeps_small_numbers() -> bool:
    """Return whether this thread computes with numbers below the usual range of float32.

    Libraries that were built to be fast at any price turn that off for the whole process.
    """
    return bool(_SMALLEST * _SHIFT != 0)


_SMALLEST = np.float32(2.0**-136)
"""The smallest float16 divided by ``_SHIFT``."""


def _by_matrix(units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any]) -> None:
    np.matmul(matrix, units[0], out=out[:, 0])


def _by_row(units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any]) -> None:
    np.vecdot(matrix, units[0], out=out[:, 0])


def _one_by_one(units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any]) -> None:
    """Take each query with some rows at a time, which the first brings into the cache."""
    scratch = np.empty((_NEAR // matrix.shape[1] + 16, 1), units.dtype)
    for window in _windows(len(matrix), _NEAR // matrix.shape[1]):
        rows = matrix[window]
        for at in range(len(units)):
            _one(units[at : at + 1], rows, scratch[: len(rows)])
            out[window, at] = scratch[: len(rows), 0]


def _in_small_pieces(units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any]) -> None:
    _in_pieces(units, matrix, out, _SMALL // units.size)


def _in_large_pieces(units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any]) -> None:
    _in_pieces(units, matrix, out, 4 * _NEAR // matrix.shape[1])


def _in_pieces(units: NDArray[Any], matrix: NDArray[Any], out: NDArray[Any], rows: int) -> None:
    # Rows first: the other way round, BLAS takes half as long again.
    for window in _windows(len(matrix), rows):
        np.matmul(matrix[window], units.T, out=out[window])


def _windows(rows: int, step: int) -> Iterator[slice]:
    step = max(step, 16)
    return (slice(start, start + step) for start in range(0, rows, step))


# Before numpy 2 there is only one way for one query.
_one = Fastest([_by_matrix, _by_row] if hasattr(np, "vecdot") else [_by_matrix])


class _Several(defaultdict[tuple[np.dtype[Any], int], Fastest]):
    """The fastest way by number type and by how many queries there are, in powers of two."""

    def __missing__(self, key: tuple[np.dtype[Any], int]) -> Fastest:
        ways: list[Way] = [_in_large_pieces, _in_small_pieces]
        if 2 ** key[1] <= _LOOP_BELOW:
            ways.append(_one_by_one)
        self[key] = Fastest(ways)
        return self[key]


_several = _Several()
