"""Between a table and a provider: dedupe, cache, pack, call, check.

Rows go in as record batches and come out with the vectors of every job, in order.
"""

from embow.pipeline._longer import InputTruncatedWarning
from embow.pipeline._pipeline import Pipeline
from embow.pipeline._sources import content_hashes
from embow.pipeline._types import (
    AddReport,
    EmbeddedBatch,
    EmbedJob,
    Estimate,
    FailedRow,
    PipelineOptions,
    ProgressUpdate,
    RequestEvent,
    SourceRows,
)

__all__ = [
    "AddReport",
    "EmbedJob",
    "EmbeddedBatch",
    "Estimate",
    "FailedRow",
    "InputTruncatedWarning",
    "Pipeline",
    "PipelineOptions",
    "ProgressUpdate",
    "RequestEvent",
    "SourceRows",
    "content_hashes",
]
