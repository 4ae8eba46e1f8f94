"""A library of indexes whose pieces are the vectors themselves, so that what it finds is exact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.engines.contract import Capability, EngineOptions
from embow.engines.indexes import Kept, Library, Mask, Sink, Step, VectorLibrary
from embow.errors import ConfigurationError, PluginError

Matrix = NDArray[np.float32]


class FlatLibrary(VectorLibrary[Matrix]):
    """Looks at every vector."""

    def __init__(self, settings: Mapping[str, Any], column: pa.DataType) -> None:
        if not pa.types.is_fixed_size_list(column):
            raise ConfigurationError(f"A flat index is over vectors, not {column}.")
        self._settings = settings
        self._size = column.list_size
        self.least = settings["least"]

    @property
    def metric(self) -> str:
        return str(self._settings["metric"])

    def fingerprint(self) -> str:
        return f"flat {self._size} {self._settings['release']}"

    def build(self, values: Iterable[pa.Array], onto: Sequence[Kept[Matrix]], step: Step) -> Matrix:
        parts = [np.zeros((0, self._size), np.float32)]
        for kept in onto:
            parts.append(kept.piece if kept.places is None else kept.piece[kept.places])
        for array in values:
            step(len(array))
            parts.append(np.asarray(array.flatten(), np.float32).reshape(-1, self._size))
        return np.concatenate(parts)

    def write(self, piece: Matrix, sink: Sink) -> None:
        sink.write(piece.tobytes())

    def read(self, data: memoryview, rows: int) -> Matrix:
        return np.frombuffer(data, np.float32).reshape(rows, self._size)

    def nearest(
        self,
        piece: Matrix,
        vectors: Matrix,
        k: int,
        *,
        effort: int,
        passing: Mask | None,
    ) -> NDArray[np.intp]:
        found = np.full((len(vectors), k), -1, np.intp)
        places = np.arange(len(piece)) if passing is None else np.flatnonzero(passing)
        for at, vector in enumerate(vectors.astype(np.float64)):
            rows = piece[places].astype(np.float64)
            if self.metric == "l2":
                score = ((rows - vector) ** 2).sum(axis=1)
            elif self.metric == "dot":
                score = -(rows @ vector)
            else:
                lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
                score = 1 - (rows @ vector) / np.where(lengths > 0, lengths, 1)
            best = places[np.argsort(score, kind="stable")[:k]]
            found[at, : len(best)] = best
        return found


@dataclass(frozen=True)
class Flat:
    """Asks for a flat index."""

    kind: ClassVar[str] = "flat"
    capability: ClassVar[Capability] = Capability.VECTOR_INDEX

    metric: str = "l2"
    least: int = 1
    release: int = 1

    def settings(self) -> Mapping[str, Any]:
        """Return them as plain JSON."""
        return {"metric": self.metric, "least": self.least, "release": self.release}


def flat_only(kind: str) -> type[Library[Any]]:
    """Return the one library there is."""
    if kind == "flat":
        return FlatLibrary
    raise PluginError(f"No index named {kind!r}.")


def options(**sizes: int) -> EngineOptions:
    """Return options of an engine that has the library."""
    return EngineOptions(sizes, flat_only)
