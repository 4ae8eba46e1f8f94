"""Between a table and a provider: dedupe, cache, pack, call, check.

Rows go in as record batches and come out with the vectors of every job, in order. Names are
imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow.pipeline.longer import InputTruncatedWarning as InputTruncatedWarning
    from embow.pipeline.pipeline import Pipeline as Pipeline
    from embow.pipeline.sources import content_hashes as content_hashes
    from embow.pipeline.types import AddReport as AddReport
    from embow.pipeline.types import EmbeddedBatch as EmbeddedBatch
    from embow.pipeline.types import EmbedJob as EmbedJob
    from embow.pipeline.types import Estimate as Estimate
    from embow.pipeline.types import FailedRow as FailedRow
    from embow.pipeline.types import PipelineOptions as PipelineOptions
    from embow.pipeline.types import ProgressUpdate as ProgressUpdate
    from embow.pipeline.types import RequestEvent as RequestEvent
    from embow.pipeline.types import SourceRows as SourceRows

_HOME = {
    "AddReport": "types",
    "EmbedJob": "types",
    "EmbeddedBatch": "types",
    "Estimate": "types",
    "FailedRow": "types",
    "InputTruncatedWarning": "longer",
    "Pipeline": "pipeline",
    "PipelineOptions": "types",
    "ProgressUpdate": "types",
    "RequestEvent": "types",
    "SourceRows": "types",
    "content_hashes": "sources",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
