"""The library: values of a column into graphs, and what is near in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.indexes import Kept, Mask, Sink, Step, VectorLibrary
from embow.errors import ConfigurationError
from embow_faiss.graph import Graph, Matrix, copied, load_faiss, read, write

_AT_ONCE = 1024
"""Vectors put into a graph at a time; between two of these it can be interrupted."""

_LARGEST = 65504.0
"""Of the numbers with 16 bits."""


class HnswLibrary(VectorLibrary[Graph]):
    """Hierarchical navigable small worlds, by faiss.

    Args:
        settings: ``metric``, ``m``, ``ef_construction`` and ``storage``; see ``embow.index.Hnsw``.
        column: Vectors of one length, of numbers.

    Raises:
        ConfigurationError: The column holds something else.
        MissingSdkError: faiss is not installed.
    """

    least = 2000
    most = 2**21

    def __init__(self, settings: Mapping[str, Any], column: pa.DataType) -> None:
        numbers = pa.types.is_fixed_size_list(column) and _are_numbers(column.value_type)
        if not numbers:
            raise ConfigurationError(
                f"A graph is built over vectors of one length, of numbers; the column is {column}. "
                "Search it without an index."
            )
        faiss = load_faiss()
        self._faiss = faiss
        self._ndims = column.list_size
        self._metric = str(settings["metric"])
        self._m = int(settings["m"])
        self._ef = int(settings["ef_construction"])
        self._small = settings["storage"] == "float16"
        self._faiss_metric = faiss.METRIC_L2 if self.metric == "l2" else faiss.METRIC_INNER_PRODUCT

    @property
    def metric(self) -> str:
        """The distance that the graphs are built for."""
        return self._metric

    def fingerprint(self) -> str:
        """Return what all graphs of the index have in common."""
        return f"hnsw 1 {self._metric} {self._ndims} {self._m} {self._ef} {self._small:d}"

    def build(self, values: Iterable[pa.Array], onto: Sequence[Kept[Graph]], step: Step) -> Graph:
        """Return one graph; the first of those there are is copied, the rest is put into it."""
        left = list(onto)
        graph: Graph | None = None
        if left and left[0].places is None:
            graph = copied(left.pop(0).piece)
            step(graph.rows)
        for batch in _batches(self._given(left, values)):
            ready = self._ready(batch)
            if graph is None:
                graph = Graph(self._empty(), self._scale(ready))
            graph.index.add(self._rounded(ready * np.float32(graph.scale)))
            step(len(ready))
        return graph or Graph(self._empty(), 1.0)

    def write(self, piece: Graph, sink: Sink) -> None:
        """Write a graph."""
        write(piece, sink.write)

    def read(self, data: memoryview, rows: int) -> Graph:
        """Return a graph that was written, without copying its vectors."""
        return read(data, rows, self._ndims, self._faiss_metric)

    def nearest(
        self,
        piece: Graph,
        vectors: Matrix,
        k: int,
        *,
        effort: int,
        passing: Mask | None,
    ) -> NDArray[np.intp]:
        """Return places of rows that are likely to be the nearest of each vector."""
        settings: dict[str, Any] = {"efSearch": effort}
        if passing is not None:
            bits = np.packbits(passing, bitorder="little")
            settings["sel"] = self._faiss.IDSelectorBitmap(bits)
        ready = self._ready(vectors) * np.float32(piece.scale)
        parameters = self._faiss.SearchParametersHNSW(**settings)
        _, found = piece.index.search(ready, k, params=parameters)
        return np.asarray(found, np.intp)

    def _given(self, onto: Sequence[Kept[Graph]], values: Iterable[pa.Array]) -> Iterator[Matrix]:
        for kept in onto:
            places = np.arange(kept.piece.rows) if kept.places is None else kept.places
            for start in range(0, len(places), _AT_ONCE):
                yield kept.piece.vectors(places[start : start + _AT_ONCE])
        for array in values:
            numbers = array.flatten().to_numpy(zero_copy_only=False)
            yield numbers.astype(np.float32, copy=False).reshape(-1, self._ndims)

    def _empty(self) -> Any:
        faiss = self._faiss
        if self._small:
            kind = faiss.ScalarQuantizer.QT_fp16
            index = faiss.IndexHNSWSQ(self._ndims, kind, self._m, self._faiss_metric)
            index.train(np.zeros((1, self._ndims), np.float32))  # It learns nothing.
        else:
            index = faiss.IndexHNSWFlat(self._ndims, self._m, self._faiss_metric)
        index.hnsw.efConstruction = self._ef
        return index

    def _ready(self, vectors: Matrix) -> Matrix:
        """Return vectors as they are compared; what is no number would spoil the links."""
        with np.errstate(all="ignore"):
            ready = np.where(np.isfinite(vectors), vectors, np.float32(0))
            if self._metric == "cosine":
                lengths = np.linalg.norm(ready.astype(np.float64), axis=1, keepdims=True)
                ready = (ready / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        return np.ascontiguousarray(ready, np.float32)

    def _scale(self, ready: Matrix) -> float:
        """Return a power of two that leaves 16 bits room above and below."""
        largest = float(np.abs(ready).max(initial=0))
        if not self._small or not largest:
            return 1.0
        return float(2.0 ** np.clip(-np.round(np.log2(largest)), -100, 100))

    def _rounded(self, scaled: Matrix) -> Matrix:
        return np.clip(scaled, -_LARGEST, _LARGEST) if self._small else scaled


def _are_numbers(value: pa.DataType) -> bool:
    # Bytes without sign may be packed bits, whose distance is another.
    return bool(
        pa.types.is_floating(value) or (pa.types.is_integer(value) and not pa.types.is_uint8(value))
    )


def _batches(pieces: Iterable[Matrix]) -> Iterator[Matrix]:
    for piece in pieces:
        for start in range(0, len(piece), _AT_ONCE):
            yield piece[start : start + _AT_ONCE]
