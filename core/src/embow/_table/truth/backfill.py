"""Filling a new vector column for rows that are there, while others keep writing.

Writes nothing a reader sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from embow._table.incoming.vectors import validity, vector_array
from embow._table.names import HASH_TYPE, hash_column
from embow._table.truth.sample import Sample
from embow._table.writing.rows import chosen_hashes
from embow._table.writing.staging import Writer, chunks, stored_rows
from embow.engines.contract import (
    ROW_ID,
    Change,
    RowIds,
    ScanQuery,
    Snapshot,
    Staged,
    row_ids_of,
)
from embow.errors import DataError
from embow.pipeline import EmbeddedBatch, EmbedJob, PipelineOptions, content_hashes
from embow.pipeline._rider import SAME_MODEL
from embow.pipeline._types import SourceRows

_SAMPLE = 32


@dataclass(slots=True)
class Backfill:
    """One hidden vector column being filled.

    Attributes:
        writer: The call.
        job: Function, source and hidden column, by their physical names.
        options: Error, limit, cache and progress settings.
        shown: What the column will be once it is shown.
        failed: Content hashes of sources that could not be embedded, where that is allowed.
        settled: Rows known to have the vector of their source. A row that changes gets a new id.
    """

    writer: Writer
    job: EmbedJob
    options: PipelineOptions
    shown: pa.Field
    failed: set[bytes] = field(default_factory=set)
    settled: RowIds = field(default_factory=lambda: np.empty(0, np.int64))
    _columns: tuple[Staged, ...] = ()
    _compared: bool = False

    @property
    def hashes(self) -> str:
        """Hidden column of the source hashes."""
        return hash_column(self.job.vector_column)

    def begin(self, snapshot: Snapshot) -> Change | None:
        """Plan the two hidden columns, with values for the rows that are there now."""
        if self.job.vector_column in snapshot.schema.names:
            # Begun by an earlier call that was cut off, or by another process.
            self.settled = np.empty(0, np.int64)
            return None
        if not self._columns:
            self._columns = self._written(snapshot)
        columns = self.writer.handle.columns(snapshot)
        first = columns.visible.field(0)
        # The list of columns, which goes without saying no more: the new one is not to be seen yet.
        listed = columns.column_entries(first.name, columns.physical(first.name), first.nullable)
        return Change(snapshot.base, add=self._columns, metadata=listed)

    def discard(self) -> None:
        """Remove columns that were written and not committed."""
        for staged in self._columns:
            self.writer.handle.stored.discard(staged)

    def catch_up(self, snapshot: Snapshot) -> Change | None:
        """Plan vectors for rows that lack them, such as others added or changed meanwhile."""
        ids = self._without(snapshot)
        if not len(ids):
            return None
        staged = self.writer.stage(snapshot, (ids,), lambda: self._completed(snapshot, ids))
        return Change(snapshot.base, add=[staged], remove=ids)

    def check(self, snapshot: Snapshot) -> None:
        """Compare a sample of vectors with a second embedding from the cache.

        Raises:
            DataError: A vector is another row's, or a row lacks one that may not be null.
        """
        name = self.job.vector_column
        if not self.shown.nullable and has_null(snapshot, name):
            raise DataError(
                f"Column {self.shown.name!r} may not be null, and some rows could not be embedded "
                "or have nothing to embed. Mend or delete them and call again."
            )
        if self._compared:
            return
        self._compared = True
        sample = Sample(self.job.source_column, name, _SAMPLE)
        handle = self.writer.handle
        least = sample.least_similarity(handle, snapshot, self.job.function, self.options)
        if least is not None and least < SAME_MODEL:
            raise DataError(
                f"A sample of the new vectors was embedded twice and differs: smallest cosine "
                f"similarity {least:.4f}. The column was not switched."
            )

    def _written(self, snapshot: Snapshot) -> tuple[Staged, ...]:
        """Write vectors and source hashes of all rows."""
        table, name = self.writer.handle.stored, self.job.vector_column
        made_from: list[pa.RecordBatch] = []

        def vectors() -> Iterator[pa.RecordBatch]:
            query = ScanQuery(columns=[self.job.source_column], with_row_id=True)
            for batch, column, hashes in self._embedded(snapshot.scan(query)):
                ids = batch.column(ROW_ID)
                made_from.append(pa.RecordBatch.from_arrays([ids, hashes], [ROW_ID, self.hashes]))
                yield pa.RecordBatch.from_arrays([ids, column], [ROW_ID, name])

        first = table.write_column(pa.field(name, self.shown.type), vectors(), base=snapshot.base)
        second = table.write_column(pa.field(self.hashes, HASH_TYPE), made_from, base=snapshot.base)
        self.settled = np.concatenate([self.settled, *map(row_ids_of, made_from)])
        return first, second

    def _without(self, snapshot: Snapshot) -> RowIds:
        """Return the rows whose new vector is missing or made from another source."""
        unknown = np.setdiff1d(snapshot.row_ids(), self.settled)
        found = [np.empty(0, np.int64)]
        names = [self.job.source_column, self.hashes]
        for chunk in chunks(unknown):
            query = ScanQuery(columns=names, row_ids=chunk, with_row_id=True)
            for batch in snapshot.scan(query):
                wanted = content_hashes(batch.column(self.job.source_column)).to_pylist()
                rows = zip(wanted, batch.column(self.hashes).to_pylist(), strict=True)
                wrong = [w != made and w not in self.failed for w, made in rows]
                found.append(row_ids_of(batch)[np.array(wrong, np.bool_)])
        lacking = np.concatenate(found)
        self.settled = np.union1d(self.settled, np.setdiff1d(unknown, lacking))
        return lacking

    def _completed(self, snapshot: Snapshot, ids: RowIds) -> Iterator[pa.RecordBatch]:
        """Yield stored rows with the new vector and its hash put in."""
        for batch, vectors, hashes in self._embedded(stored_rows(snapshot, ids)):
            new = {self.job.vector_column: vectors, self.hashes: hashes}
            columns = [new.get(f.name, batch.column(f.name)) for f in batch.schema]
            yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def _embedded(
        self, batches: Iterable[pa.RecordBatch]
    ) -> Iterator[tuple[pa.RecordBatch, pa.Array, pa.Array]]:
        """Yield rows with their new vectors and the hashes of what these were made from."""
        pipeline = self.writer.handle.pipeline
        rows = (SourceRows(batch) for batch in batches)
        results = pipeline.embed_batches(rows, [self.job], self.options, self.writer.report)
        with closing(results):
            for out in results:
                yield out.batch, *self._made(out)

    def _made(self, out: EmbeddedBatch) -> tuple[pa.Array, pa.Array]:
        """Return vectors and hashes, remembering what failed."""
        name = self.job.vector_column
        hashes = out.hashes[name]
        self.failed.update(hashes[i].as_py() for i in out.failed.get(name, {}))
        vectors = vector_array(out.vectors[name], out.valid[name], self.shown.type)
        return vectors, chosen_hashes(hashes, out.valid[name])


def has_null(snapshot: Snapshot, column: str) -> bool:
    """Return whether any row has null in a column."""
    rows = snapshot.scan(ScanQuery(columns=[column]))
    return any(not validity(batch.column(0)).all() for batch in rows)
