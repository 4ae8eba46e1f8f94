"""Between a table and a provider: dedupe, cache, pack, call, check.

Rows go in as record batches and come out with the vectors of every job, in order. Names are
imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow.pipeline._longer import InputTruncatedWarning as InputTruncatedWarning
    from embow.pipeline._pipeline import Pipeline as Pipeline
    from embow.pipeline._sources import content_hashes as content_hashes
    from embow.pipeline._types import AddReport as AddReport
    from embow.pipeline._types import EmbeddedBatch as EmbeddedBatch
    from embow.pipeline._types import EmbedJob as EmbedJob
    from embow.pipeline._types import Estimate as Estimate
    from embow.pipeline._types import FailedRow as FailedRow
    from embow.pipeline._types import PipelineOptions as PipelineOptions
    from embow.pipeline._types import ProgressUpdate as ProgressUpdate
    from embow.pipeline._types import RequestEvent as RequestEvent
    from embow.pipeline._types import SourceRows as SourceRows

_HOME = {
    "AddReport": "_types",
    "EmbedJob": "_types",
    "EmbeddedBatch": "_types",
    "Estimate": "_types",
    "FailedRow": "_types",
    "InputTruncatedWarning": "_longer",
    "Pipeline": "_pipeline",
    "PipelineOptions": "_types",
    "ProgressUpdate": "_types",
    "RequestEvent": "_types",
    "SourceRows": "_types",
    "content_hashes": "_sources",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
