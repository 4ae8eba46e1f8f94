"""One record batch with one job: where its vectors are gathered."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embow.embeddings._retry import CallFailedError, describe, kind_name
from embow.pipeline._requests import Ints, Vectors, blank_vectors
from embow.pipeline._sources import Source
from embow.pipeline._types import EmbedJob, FailedRow


class Part:
    """The vectors of one job for one batch, filled from any thread.

    ``done`` is notified when no row is waited for any more.

    Attributes:
        waiting: Rows still waited for.
    """

    def __init__(
        self,
        job: EmbedJob,
        source: Source,
        needed: NDArray[np.bool_],
        first_row: int,
        done: threading.Condition,
    ) -> None:
        self.job = job
        self.source = source
        self.needed = needed & source.present
        self.first_row = first_row
        self._form = job.function.vector_form()
        self.vectors: Vectors = blank_vectors(len(needed), job.ndims, self._form)
        self.valid: NDArray[np.bool_] = np.zeros(len(needed), dtype=np.bool_)
        self.failed: dict[int, FailedRow] = {}
        self.claimed: list[bytes] = []
        self.embedded = 0
        self._copies: dict[Part, tuple[list[int], list[int]]] = {}
        self.waiting = 0
        self._done = done

    @property
    def size(self) -> int:
        """Bytes of the vectors there will be: where there are several, one for each token."""
        if self._form.multi:
            return int(self.source.sizes.sum()) * self.job.ndims
        return self.vectors.nbytes

    def expect(self, count: int) -> None:
        """Wait for so many rows more."""
        with self._done:
            self.waiting += count

    def fill(self, rows: Ints, vectors: Vectors) -> None:
        """Set vectors that nobody waits for."""
        count = len(rows)
        dense = count > 0 and rows[-1] - rows[0] == count - 1
        if dense and (count < 3 or bool((np.diff(rows) == 1).all())):
            self.vectors[rows[0] : rows[-1] + 1] = vectors  # several times faster than by index
        else:
            self.vectors[rows] = vectors
        self.valid[rows] = True

    def store(self, rows: Ints, vectors: Vectors) -> None:
        """Take the vectors of some rows."""
        self.fill(rows, vectors)
        with self._done:
            self.embedded += len(rows)
            self._arrived(len(rows))

    def fail(self, row: int, failed: CallFailedError) -> None:
        """Take note that a row has no vector."""
        failure = FailedRow(
            row=self.first_row + row,
            column=self.job.source_column,
            kind=kind_name(failed.failure.kind),
            message=describe(self.job.function, failed.error),
        )
        with self._done:
            self.failed[row] = failure
            self._arrived(1)

    def position(self, row: int) -> int:
        """Return the row's position in the data given to the call."""
        return self.first_row + row

    def copy_from(self, other: Part, their: int, our: int) -> None:
        """Give row ``our`` the vector of an equal input elsewhere, once that is there."""
        theirs, ours = self._copies.setdefault(other, ([], []))
        theirs.append(their)
        ours.append(our)

    def finish(self) -> None:
        """Fill in the copies and clear the rows that have no vector."""
        for other, (theirs, ours) in self._copies.items():
            self.vectors[ours] = other.vectors[theirs]
            self.valid[ours] = other.valid[theirs]
            for their, our in zip(theirs, ours, strict=True) if other.failed else ():
                if (failure := other.failed.get(their)) is not None:
                    self.failed[our] = replace(failure, row=self.first_row + our)
        self._copies.clear()
        if not self.valid.all():
            self.vectors[~self.valid] = None if self._form.multi else 0

    def _arrived(self, count: int) -> None:
        self.waiting -= count
        if self.waiting == 0:
            self._done.notify_all()
