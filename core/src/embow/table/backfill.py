"""Filling a hidden vector column for rows that are there, while others keep writing.

Called by ``migration``. Writes nothing a reader sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from dataclasses import field as default
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from embow.engines.base import ROW_ID, ScanQuery
from embow.errors import DataError, SchemaError
from embow.pipeline import (
    AddReport,
    EmbeddedBatch,
    EmbedJob,
    PipelineOptions,
    SourceRows,
    content_hashes,
)
from embow.table.canary import Canaries, canary_batch, takes_text
from embow.table.changes import stored_rows
from embow.table.committing import again_on_conflict
from embow.table.provenance import HASH_TYPE, hash_column
from embow.table.vectors import validity, vector_array, vector_values
from embow.table.verification import SAME_MODEL, cosine

if TYPE_CHECKING:
    from embow.table.table import Table

_SAMPLE = 32


@dataclass(slots=True)
class Backfill:
    """One hidden vector column being filled.

    Attributes:
        table: Table to fill it in.
        job: Function, source and hidden column.
        options: Error, limit, cache and progress settings.
        field: What the column will be once it is shown.
        canaries: Fixed texts that ride along.
        failed: Content hashes of sources that could not be embedded, where that is allowed.
    """

    table: Table
    job: EmbedJob
    options: PipelineOptions
    field: pa.Field
    canaries: Canaries = default(default_factory=Canaries)
    failed: set[bytes] = default(default_factory=set)

    @property
    def hashes(self) -> str:
        """Hidden column of the source hashes."""
        return hash_column(self.job.vector_column)

    def write_column(self, report: AddReport) -> None:
        """Add the hidden columns and fill them for the rows that are there now."""
        vector = pa.field(self.job.vector_column, self.field.type)
        self._add(vector, lambda: self._vectors(self._scan([self.job.source_column]), report))
        self._add(pa.field(self.hashes, HASH_TYPE), self._source_hashes)

    def _add(self, column: pa.Field, batches: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        stored = self.table._engine_table
        if column.name in stored.schema().names:
            return
        try:
            again_on_conflict(lambda: stored.add_column(column, batches()))
        except SchemaError:
            if column.name not in stored.schema().names:
                raise  # Else another process runs the same migration, and was faster.

    def fill_rows_added_since(self, report: AddReport) -> int:
        """Embed rows other writers added or changed meanwhile; return how many there were."""
        row_ids = self._rows_without()
        if not row_ids:
            return 0
        made: dict[int, pa.RecordBatch] = {}
        for batch in self._vectors(self._sources(row_ids), report):
            made.update({row_id: batch.slice(i, 1) for i, row_id in enumerate(_ids(batch))})
        self.table._engine_table.replace(row_ids, self._completed(row_ids, made))
        return len(row_ids)

    def check(self) -> None:
        """Compare a sample of vectors with a second embedding from the cache.

        Raises:
            DataError: A vector is another row's, or a row lacks one that may not be null.
        """
        if not self.field.nullable and has_null(self.table, self.job.vector_column):
            raise DataError(
                f"Column {self.field.name!r} may not be null, and some rows could not be embedded "
                "or have nothing to embed. Mend or delete them and call again."
            )
        names = [self.job.source_column, self.job.vector_column]
        rows = self.table._engine_table.scan(ScanQuery(columns=names, limit=_SAMPLE)).read_all()
        for batch in rows.to_batches():
            self._check_sample(batch)

    def _check_sample(self, batch: pa.RecordBatch) -> None:
        column = batch.column(self.job.vector_column)
        chosen = np.flatnonzero(validity(column)).tolist()
        if not chosen:
            return
        sources = batch.column(self.job.source_column).to_pylist()
        again = self.table._database._pipeline.embed_documents(
            self.job.function, [sources[i] for i in chosen], self.options
        )
        stored = vector_values(column)
        least = min(cosine(new, stored[i]) for new, i in zip(again, chosen, strict=True))
        if least < SAME_MODEL:
            raise DataError(
                f"A sample of the new vectors was embedded twice and differs: smallest cosine "
                f"similarity {least:.4f}. The column was not switched."
            )

    def _scan(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return iter(self.table._engine_table.scan(ScanQuery(columns=columns, with_row_id=True)))

    def _sources(self, row_ids: list[int]) -> Iterator[pa.RecordBatch]:
        done = 0
        for batch in stored_rows(self.table, row_ids):
            ids = row_ids[done : done + batch.num_rows]
            done += batch.num_rows
            source = self.job.source_column
            yield pa.RecordBatch.from_arrays(
                [batch.column(source), pa.array(ids, pa.int64())], names=[source, ROW_ID]
            )

    def _vectors(
        self, batches: Iterable[pa.RecordBatch], report: AddReport
    ) -> Iterator[pa.RecordBatch]:
        """Yield row ids with their new vectors."""
        pipeline = self.table._database._pipeline
        stream = (SourceRows(batch) for batch in self._with_canary(batches))
        results = pipeline.embed_batches(stream, [self.job], self.options, report)
        with closing(results):
            for out in results:
                if not self.canaries.take(out, report):
                    yield self._made(out)

    def _made(self, out: EmbeddedBatch) -> pa.RecordBatch:
        """Return row ids with their vectors, remembering what failed."""
        name = self.job.vector_column
        source_hashes = out.hashes[name]
        self.failed.update(source_hashes[i].as_py() for i in out.failed.get(name, {}))
        vectors = vector_array(out.vectors[name], out.valid[name], self.field.type)
        return pa.RecordBatch.from_arrays([out.batch.column(ROW_ID), vectors], [ROW_ID, name])

    def _with_canary(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        schema = None
        for batch in batches:
            schema = batch.schema
            yield batch
        if schema is not None and takes_text(self.job, schema) and not self.canaries.vectors:
            yield canary_batch(schema, {self.job.source_column})

    def _source_hashes(self) -> Iterator[pa.RecordBatch]:
        """Yield row ids with the hash of the source, for rows that have a new vector."""
        for batch in self._scan([self.job.source_column, self.job.vector_column]):
            wanted = content_hashes(batch.column(self.job.source_column)).to_pylist()
            present = validity(batch.column(self.job.vector_column)).tolist()
            made = [h if ok else None for h, ok in zip(wanted, present, strict=True)]
            yield pa.RecordBatch.from_arrays(
                [batch.column(ROW_ID), pa.array(made, HASH_TYPE)], [ROW_ID, self.hashes]
            )

    def _rows_without(self) -> list[int]:
        """Return the rows whose new vector is missing or made from another source."""
        row_ids: list[int] = []
        for batch in self._scan([self.job.source_column, self.hashes]):
            wanted = content_hashes(batch.column(self.job.source_column)).to_pylist()
            made = batch.column(self.hashes).to_pylist()
            rows = zip(_ids(batch), wanted, made, strict=True)
            row_ids += [i for i, w, m in rows if w != m and w not in self.failed]
        return row_ids

    def _completed(
        self, row_ids: list[int], made: dict[int, pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Yield stored rows with the new vector and its hash put in."""
        done = 0
        name = self.job.vector_column
        for batch in stored_rows(self.table, row_ids):
            ids = row_ids[done : done + batch.num_rows]
            done += batch.num_rows
            vectors = pa.concat_arrays([made[i].column(name) for i in ids])
            wanted = content_hashes(batch.column(self.job.source_column)).to_pylist()
            present = validity(vectors).tolist()
            hashes = pa.array(
                [h if ok else None for h, ok in zip(wanted, present, strict=True)], HASH_TYPE
            )
            new = {name: vectors, self.hashes: hashes}
            columns = [new.get(f.name, batch.column(f.name)) for f in batch.schema]
            yield pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def has_null(table: Table, column: str) -> bool:
    """Return whether any row has null in a column."""
    rows = table._engine_table.scan(ScanQuery(columns=[column]))
    return any(batch.column(0).null_count for batch in rows)


def _ids(batch: pa.RecordBatch) -> list[int]:
    return list(batch.column(ROW_ID).to_pylist())
