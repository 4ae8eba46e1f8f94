"""One record batch with one job: where its vectors are gathered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embow.embeddings.retry import CallFailedError, describe, kind_name
from embow.pipeline.requests import Ints, Vectors
from embow.pipeline.sources import Source
from embow.pipeline.types import EmbedJob, FailedRow

if TYPE_CHECKING:
    import pyarrow as pa


class Part:
    """The vectors of one job for one batch, filled from any thread.

    ``on_done`` is called, once, when no row is waited for any more.
    """

    def __init__(
        self,
        job: EmbedJob,
        source: Source,
        needed: NDArray[np.bool_],
        first_row: int,
        on_done: Callable[[], None],
    ) -> None:
        self.job = job
        self.source = source
        self.needed = needed & source.present
        self.first_row = first_row
        self.vectors: Vectors = np.empty((len(needed), job.ndims), dtype=np.float32)
        self.valid: NDArray[np.bool_] = np.zeros(len(needed), dtype=np.bool_)
        self.failed: dict[int, FailedRow] = {}
        self.claimed: list[bytes] = []
        self.embedded = 0
        self._copies: list[tuple[Part, Ints, Ints]] = []
        self._waiting = 0
        self._lock = threading.Lock()
        self._on_done = on_done

    @property
    def done(self) -> bool:
        """Whether no row is waited for."""
        return self._waiting == 0

    @property
    def waiting(self) -> int:
        """Rows still waited for."""
        return self._waiting

    def expect(self, count: int) -> None:
        """Wait for so many rows more."""
        with self._lock:
            self._waiting += count

    def fill(self, rows: Ints, vectors: Vectors) -> None:
        """Set vectors that nobody waits for."""
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and _ascending(rows):
            self.vectors[rows[0] : rows[-1] + 1] = vectors  # several times faster than by index
        else:
            self.vectors[rows] = vectors
        self.valid[rows] = True

    def store(self, rows: Ints, vectors: Vectors) -> None:
        """Take the vectors of some rows."""
        self.fill(rows, vectors)
        with self._lock:
            self.embedded += len(rows)
        self._arrived(len(rows))

    def fail(self, row: int, failed: CallFailedError) -> None:
        """Take note that a row has no vector."""
        with self._lock:
            self.failed[row] = FailedRow(
                row=self.first_row + row,
                column=self.job.source_column,
                kind=kind_name(failed.failure.kind),
                message=describe(self.job.function, failed.error),
            )
        self._arrived(1)

    def position(self, row: int) -> int:
        """Return the row's position in the data given to the call."""
        return self.first_row + row

    def copy_from(self, other: Part, theirs: Ints, ours: Ints) -> None:
        """Give ``ours`` the vectors of equal inputs elsewhere, once those are there."""
        self._copies.append((other, theirs, ours))

    def finish(self) -> None:
        """Fill in the copies and clear the rows that have no vector."""
        for other, theirs, ours in self._copies:
            self.vectors[ours] = other.vectors[theirs]
            self.valid[ours] = other.valid[theirs]
            for their, our in zip(theirs.tolist(), ours.tolist(), strict=True):
                if (failure := other.failed.get(their)) is not None:
                    self.failed[our] = FailedRow(
                        self.first_row + our, failure.column, failure.kind, failure.message
                    )
        self._copies.clear()
        if not self.valid.all():
            self.vectors[~self.valid] = 0

    def hashes(self) -> pa.Array:
        """Return the content hash of each source value."""
        return self.source.hashes()

    def _arrived(self, count: int) -> None:
        with self._lock:
            self._waiting -= count
            done = self._waiting == 0
        if done:
            self._on_done()


def _ascending(rows: Ints) -> bool:
    return len(rows) < 3 or bool((np.diff(rows) == 1).all())
