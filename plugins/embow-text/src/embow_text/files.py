"""Segments as bytes: a head that names the arrays, and the arrays, read where they lie.

The head is one line in JSON: the version of the form, and of each array its name, type, place and
count. Arrays follow, each at a multiple of 64 bytes, numbers with the lowest byte first. Whoever
keeps the bytes checks that they are those that were written; whether they are a segment is checked
here, since anyone can write bytes and their checksum.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow_text.segment import Segment

_MAGIC: Final = b"embow-text 1 "
_ALIGN: Final = 64
_LONGEST_HEAD: Final = 4096
_TYPES: Final = {
    "letters": ("|u1",),
    "cuts": ("<i8",),
    "starts": ("<i8",),
    "rows": ("<u4",),
    "counts": ("|u1", "<u2", "<u4"),
    "lengths": ("<u4",),
    "positions": ("|u1", "<u2", "<u4"),
}


class Sink(Protocol):
    """Takes bytes, one after another."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Take all of them; return how many."""


def write(segment: Segment, sink: Sink) -> None:
    """Write a segment."""
    arrays = {
        field.name: np.ascontiguousarray(value).astype(kind, copy=False)
        for field in fields(segment)
        if (value := getattr(segment, field.name)) is not None
        for kind in [value.dtype.newbyteorder("<")]
    }
    places, at = {}, _LONGEST_HEAD
    for name, array in arrays.items():
        places[name] = [array.dtype.str, at, len(array)]
        at += array.nbytes + _gap(array.nbytes)
    head = _MAGIC + json.dumps({"arrays": places}).encode() + b"\n"
    sink.write(head.ljust(_LONGEST_HEAD, b"\0"))
    for array in arrays.values():
        if array.nbytes:
            sink.write(array.data.cast("B"))
        sink.write(bytes(_gap(array.nbytes)))


def read(data: memoryview) -> Segment:
    """Return the segment that bytes are; it stays on them.

    Raises:
        ValueError: They are none; the sentence says why.
    """
    try:
        head = _read_head(data)
        segment = Segment(**{name: _array(data, name, *at) for name, at in head["arrays"].items()})
        check(segment)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the bytes are no segment: {error}") from error
    return segment


def check(segment: Segment) -> None:
    """Raise `ValueError` where the arrays of a segment do not fit together."""
    terms, postings = len(segment.cuts) - 1, len(segment.rows)
    _require(terms >= 0 and len(segment.starts) == terms + 1, "terms and their rows differ")
    _require(_covers(segment.cuts, len(segment.letters)), "its terms overlap")
    texts = segment.terms.cast(pa.large_string())  # Refuses what is no UTF-8.
    texts.validate(full=True)
    rises = pc.all(pc.greater(texts[1:], texts[:-1])).as_py()
    _require(terms < 2 or bool(rises), "terms are out of order")
    _require(_covers(segment.starts, postings), "the rows of its terms overlap")
    _require(len(segment.counts) == postings, "rows and counts differ in number")
    if postings:
        _require(bool(segment.counts.min() > 0), "a count is zero")
        _require(bool(segment.rows.max() < len(segment)), "it names a row that it does not have")
        rises = segment.rows[1:] > segment.rows[:-1]
        rises[segment.starts[1:-1] - 1] = True
        _require(bool(rises.all()), "rows of a term are out of order")
    _require(int(segment.counts.sum(dtype=np.int64)) == segment.tokens, "counts and lengths differ")
    if segment.positions is not None:
        _require(len(segment.positions) == segment.tokens, "positions are missing")


def _require(right: bool, otherwise: str) -> None:
    if not right:
        raise ValueError(otherwise)


def _covers(bounds: NDArray[np.int64], size: int) -> bool:
    """Return whether slices follow one another, none of them empty, over the whole array."""
    return bool(bounds[0] == 0 and bounds[-1] == size and np.all(bounds[1:] > bounds[:-1]))


def _gap(size: int) -> int:
    return -size % _ALIGN


def _read_head(data: memoryview) -> dict[str, Any]:
    line = bytes(data[:_LONGEST_HEAD]).partition(b"\n")[0]
    _require(line.startswith(_MAGIC), "it does not begin as a text index of this version does")
    head: dict[str, Any] = json.loads(line[len(_MAGIC) :])
    return head


def _array(data: memoryview, name: str, kind: str, place: int, count: int) -> NDArray[Any]:
    _require(kind in _TYPES[name], f"{name} are of type {kind}")
    size = np.dtype(kind).itemsize * count
    _require(place >= 0 <= count and place + size <= len(data), f"{name} are cut off")
    return np.frombuffer(data, kind, count, place) if size else np.zeros(0, kind)
