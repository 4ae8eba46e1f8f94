"""One graph: built, written, and read without being copied."""

from __future__ import annotations

import importlib
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.errors import MissingSdkError

Matrix = NDArray[np.float32]

_HEAD = struct.Struct("<16sd40x")
"""Magic and scale; as long as a line of the cache, so that what follows is aligned."""

_MAGIC = b"embow hnsw 1\n\0\0\0"
_WRITTEN = 2**20
_reading = threading.Lock()


@dataclass(frozen=True, eq=False)
class Graph:
    """Vectors and the neighbours of each.

    Attributes:
        index: faiss's, an ``IndexHNSW``.
        scale: What vectors were multiplied with.
        data: The bytes it was read from, which it still uses; ``None`` where it was built here.
    """

    index: Any
    scale: float
    data: memoryview | None = None

    @property
    def rows(self) -> int:
        """Number of vectors."""
        return int(self.index.ntotal)

    def vectors(self, places: NDArray[np.intp]) -> Matrix:
        """Return vectors as they were given, but for rounding."""
        found: Matrix = self.index.reconstruct_batch(places.astype(np.int64))
        return found / np.float32(self.scale)


def load_faiss() -> Any:
    """Return the library, whose stubs lack what is used here.

    Raises:
        MissingSdkError: It is not installed.
    """
    try:
        return importlib.import_module("faiss")
    except ImportError as exc:
        raise MissingSdkError(
            "The index takes the package 'faiss'. Run: pip install \"faiss-cpu>=1.15\"."
        ) from exc


def copied(graph: Graph) -> Graph:
    """Return a graph that can grow; the other stays as it is."""
    faiss = load_faiss()

    if graph.data is None:
        return Graph(faiss.clone_index(graph.index), graph.scale)
    # One that uses memory of others cannot be cloned.
    body = np.frombuffer(graph.data, np.uint8)[_HEAD.size :]
    return Graph(faiss.deserialize_index(body), graph.scale)


def write(graph: Graph, take: Callable[[bytes], int]) -> None:
    """Write a graph."""
    faiss = load_faiss()

    take(_HEAD.pack(_MAGIC, graph.scale))
    faiss.write_index(graph.index, faiss.PyCallbackIOWriter(take, _WRITTEN))


def read(data: memoryview, rows: int, ndims: int, metric: int) -> Graph:
    """Return a graph that was written; its vectors stay where they are.

    Raises:
        ValueError: It is another, or its links lead out of it.
    """
    faiss = load_faiss()

    if len(data) < _HEAD.size:
        raise ValueError("the graph is cut off")
    magic, scale = _HEAD.unpack_from(data)
    if magic != _MAGIC or not 0 < scale < np.inf:
        raise ValueError("it does not begin as a graph of this version does")
    body = np.frombuffer(data, np.uint8)[_HEAD.size :]
    reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(body), len(body))
    try:
        with _at_most(faiss, len(body)):
            index = faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as exc:
        raise ValueError("it is no graph that faiss can read") from exc
    if not isinstance(index, faiss.IndexHNSW):
        raise ValueError("it is no graph")
    if (index.ntotal, index.d, index.metric_type) != (rows, ndims, metric):
        raise ValueError("it is the graph of other vectors")
    _check_links(index, rows)
    return Graph(index, scale, data)


@contextmanager
def _at_most(faiss: Any, size: int) -> Iterator[None]:
    """Refuse arrays that are said to be larger than the file, before memory is made for them."""
    with _reading:  # The limit is one of the process.
        before = faiss.get_deserialization_vector_byte_limit()
        faiss.set_deserialization_vector_byte_limit(size)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(before)


def _check_links(index: Any, rows: int) -> None:
    """Refuse a graph that a search would leave; whoever made the file made its checksum too."""
    faiss = load_faiss()

    links = index.hnsw
    storage = faiss.downcast_index(index.storage)
    levels = faiss.vector_to_array(links.levels)
    offsets = faiss.vector_to_array(links.offsets).astype(np.int64)
    room = faiss.vector_to_array(links.cum_nneighbor_per_level).astype(np.int64)
    neighbors = faiss.vector_to_array(links.neighbors)
    right = (
        storage.ntotal == rows
        and storage.d == index.d
        and storage.codes.size() == rows * storage.code_size
        and len(levels) == rows
        and len(offsets) == rows + 1
        and (rows == 0 or (levels.min() > 0 and levels.max() < len(room)))
        and bool((np.diff(room) >= 0).all())
        and np.array_equal(np.diff(offsets), room[levels])
        and offsets[0] == 0
        and offsets[-1] == len(neighbors)
        and (not len(neighbors) or (neighbors.min() >= -1 and neighbors.max() < rows))
        and (rows == 0 or 0 <= links.entry_point < rows)
        and (rows == 0 or links.max_level < levels[links.entry_point])
    )
    if not right:
        raise ValueError("its links lead out of it")
