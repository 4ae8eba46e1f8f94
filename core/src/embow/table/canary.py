"""One fixed text a vector column, embedded with the first write, to find out a changed model.

The text rides along in the last request of the first write; its vector is kept in the schema
metadata. ``verify(remote=True)`` embeds it again and compares.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow.embeddings import Binding, TextEmbeddingFunction, read_bindings
from embow.engines.base import EngineTable
from embow.errors import CommitConflictError
from embow.pipeline import AddReport, EmbeddedBatch, EmbedJob

CANARY_TEXT = "The quick brown fox jumps over the lazy dog."
CANARY_KEY = b"_embow_canary"
_TRIES = 5
_MARK = {CANARY_KEY: b"row"}


@dataclass(slots=True)
class Canaries:
    """The fixed texts of one write.

    Attributes:
        known: Vector columns that have their canary already.
        vectors: Canary vectors this write made, by vector column.
    """

    known: Collection[str] = ()
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def follow(
        self, batches: Iterable[pa.RecordBatch], jobs: Sequence[EmbedJob], schema: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches and then, if anything had to be embedded, the row of canaries."""
        wanted = [job for job in jobs if takes_text(job, schema) and self._missing(job)]
        sources: set[str] = set()
        for batch in batches:
            idle = (job for job in wanted if job.source_column not in sources)
            sources.update(job.source_column for job in idle if _has_work(batch, job))
            yield batch
        if sources:
            yield canary_batch(schema, sources)

    def take(self, out: EmbeddedBatch, report: AddReport) -> bool:
        """Keep the vectors if this is the row of canaries, and say whether it was.

        The fixed text is no row of the user's, and is taken out of the counts again.
        """
        if (out.batch.schema.metadata or {}).get(CANARY_KEY) != _MARK[CANARY_KEY]:
            return False
        made = {name: vectors[0] for name, vectors in out.vectors.items() if out.valid[name][0]}
        self.vectors.update({name: np.array(vector) for name, vector in made.items()})
        report.embedded -= out.embedded
        report.cached -= len(made) - out.embedded
        report.failed = [row for row in report.failed if row.row < out.first_row]
        return True

    def _missing(self, job: EmbedJob) -> bool:
        return job.vector_column not in self.known


def read_canaries(metadata: Mapping[bytes, bytes] | None) -> dict[str, dict[str, Any]]:
    """Return the stored canaries: fingerprint, text and vector by vector column."""
    stored = json.loads((metadata or {}).get(CANARY_KEY, b"{}"))
    for record in stored.values():
        record["vector"] = np.frombuffer(base64.b64decode(record["vector"]), dtype=np.float32)
    return dict(stored)


def write_canaries(
    metadata: Mapping[bytes, bytes] | None,
    vectors: Mapping[str, NDArray[np.float32]],
    fingerprints: Mapping[str, str],
) -> dict[bytes, bytes]:
    """Return the metadata with these canaries added."""
    merged = dict(metadata or {})
    stored = json.loads(merged.get(CANARY_KEY, b"{}"))
    for name, vector in vectors.items():
        stored[name] = {
            "fingerprint": fingerprints[name],
            "text": CANARY_TEXT,
            "vector": base64.b64encode(vector.astype(np.float32).tobytes()).decode(),
        }
    merged[CANARY_KEY] = json.dumps(stored).encode()
    return merged


def keep_canaries(stored: EngineTable, canaries: Canaries, bindings: Iterable[Binding]) -> None:
    """Store the vectors of the fixed texts a write made, where none is stored yet.

    The rows are committed already, so that a busy table is no error: the next write to it sends
    the fixed text again.

    Args:
        stored: Table that was written to.
        canaries: What the write made.
        bindings: The functions that made it.
    """
    if not canaries.vectors:
        return
    made_by = {b.vector_column: b.fingerprint or "" for b in bindings}
    for _ in range(_TRIES):
        schema = stored.schema()
        current = {b.vector_column: b.fingerprint or "" for b in read_bindings(schema).values()}
        known = read_canaries(schema.metadata)
        wanted = {
            name: vector
            for name, vector in canaries.vectors.items()
            if name not in known and current.get(name) == made_by[name]
        }
        if not wanted:
            return
        with suppress(CommitConflictError):
            stored.set_metadata(write_canaries(schema.metadata, wanted, made_by), expected=schema)
            return


def takes_text(job: EmbedJob, schema: pa.Schema) -> bool:
    """Return whether a job embeds text, so that the fixed text can ride along."""
    source = schema.field(job.source_column).type
    is_text = pa.types.is_string(source) or pa.types.is_large_string(source)
    return is_text and isinstance(job.function, TextEmbeddingFunction)


def _has_work(batch: pa.RecordBatch, job: EmbedJob) -> bool:
    """Return whether any row has text and no vector."""
    source, vectors = batch.column(job.source_column), batch.column(job.vector_column)
    texts = pc.fill_null(pc.utf8_trim_whitespace(source), "")
    return bool(pc.any(pc.and_(pc.not_equal(texts, ""), vectors.is_null())).as_py())


def canary_batch(schema: pa.Schema, sources: Collection[str]) -> pa.RecordBatch:
    """Return a row with the fixed text in these columns and nulls elsewhere."""
    nullable = pa.schema([f.with_nullable(True) for f in schema], metadata=_MARK)
    columns = [
        pa.array([CANARY_TEXT], f.type) if f.name in sources else pa.nulls(1, f.type)
        for f in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=nullable)
