"""Segments in files: written once and synced, read by memory map, checked before they are used.

A file begins with a head of one line in JSON: the version of the form, what the terms were made
by, and of each array its name, type, place, count and checksum. The line ends with the checksum
of what is before it. Arrays follow, each at a multiple of 64 bytes, numbers with the lowest byte
first.
"""

from __future__ import annotations

import json
import mmap
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from embow.errors import StorageError
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


@dataclass(frozen=True)
class Stored:
    """A segment from a file.

    Attributes:
        segment: The segment, on the pages of the file.
        fingerprint: Of the analysis that made its terms.
    """

    segment: Segment
    fingerprint: str


def write(path: Path, segment: Segment, fingerprint: str) -> None:
    """Write a new file, and return when it is on the disk.

    Raises:
        StorageError: The file is there already, or cannot be written.
    """
    arrays = {
        field.name: np.ascontiguousarray(value).astype(kind, copy=False)
        for field in fields(segment)
        if (value := getattr(segment, field.name)) is not None
        for kind in [value.dtype.newbyteorder("<")]
    }
    head, places = _head(arrays, fingerprint)
    try:
        with open(path, "xb") as file:
            file.write(head)
            for name, array in arrays.items():
                file.seek(places[name])
                file.write(array.data)
            file.truncate(max(file.tell(), len(head)))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError(f"The text index {path} cannot be written: {error}") from error


def read(path: Path) -> Stored:
    """Return the segment of a file, with every array checked.

    Raises:
        StorageError: The file cannot be read, or is not as it was written.
    """
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # An empty file cannot be mapped.
        raise StorageError(f"The text index {path} cannot be read: {error}") from error
    try:
        head = _read_head(data)
        arrays = {name: _array(data, name, *place) for name, place in head["arrays"].items()}
        segment = Segment(**arrays)
        check(segment)
    except (_DamagedError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise StorageError(
            f"The text index {path} is damaged: {error}. Its rows are not lost; remove the index "
            "and create it again."
        ) from error
    return Stored(segment, str(head["fingerprint"]))


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


class _DamagedError(Exception):
    """The bytes are not those of a segment."""


def _require(right: bool, otherwise: str) -> None:
    if not right:
        raise _DamagedError(otherwise)


def _covers(bounds: NDArray[np.int64], size: int) -> bool:
    """Return whether slices follow one another, none of them empty, over the whole array."""
    return bool(bounds[0] == 0 and bounds[-1] == size and np.all(bounds[1:] > bounds[:-1]))


def _head(arrays: dict[str, NDArray[Any]], fingerprint: str) -> tuple[bytes, dict[str, int]]:
    places, at = {}, _LONGEST_HEAD
    for name, array in arrays.items():
        places[name] = at
        at += -(-array.nbytes // _ALIGN) * _ALIGN
    described = {
        name: [array.dtype.str, places[name], len(array), xxhash.xxh3_64_hexdigest(array.data)]
        for name, array in arrays.items()
    }
    content = {"fingerprint": fingerprint, "arrays": described}
    line = _MAGIC + json.dumps(content).encode() + b" "
    return (line + xxhash.xxh3_64_hexdigest(line).encode() + b"\n"), places


def _read_head(data: mmap.mmap) -> dict[str, Any]:
    line = data[:_LONGEST_HEAD].partition(b"\n")[0]
    _require(line.startswith(_MAGIC), "it does not begin as a text index of this version does")
    content, checksum = line[:-16], line[-16:]
    _require(xxhash.xxh3_64_hexdigest(content).encode() == checksum, "its head was changed")
    head: dict[str, Any] = json.loads(content[len(_MAGIC) :])
    return head


def _array(
    data: mmap.mmap, name: str, kind: str, place: int, count: int, checksum: str
) -> NDArray[Any]:
    _require(kind in _TYPES[name], f"{name} are of type {kind}")
    size = np.dtype(kind).itemsize * count
    _require(place >= 0 <= count and place + size <= len(data), f"{name} are cut off")
    if not size:
        return np.zeros(0, kind)
    array = np.frombuffer(data, kind, count, place)
    _require(xxhash.xxh3_64_hexdigest(array.data) == checksum, f"{name} were changed")
    return array
