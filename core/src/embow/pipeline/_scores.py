"""Have a model score texts against a query: within its limits, again where a call may pass."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow._cancel import Cancellation, stop_if_cancelled
from embow.embeddings._base import require_texts
from embow.embeddings._retry import CallFailedError, final_error
from embow.embeddings.remote import fitting, size_of
from embow.embeddings.types import FailureKind
from embow.errors import BadOutputError
from embow.pipeline._calls import CallContext, Caller, Work
from embow.pipeline._clock import Clock, StopWork
from embow.pipeline._requests import Ints
from embow.pipeline._types import AddReport, PipelineOptions
from embow.pipeline._usage import UsageCounter

if TYPE_CHECKING:
    from embow.embeddings._provider import Provider

Scores = NDArray[np.float32]


def _by_itself() -> CallContext:
    usage, deadline = UsageCounter(AddReport()), PipelineOptions().deadline
    return CallContext(Clock(), Cancellation(), usage, (), None, deadline)


SCORES_BY: ContextVar[Callable[[], CallContext]] = ContextVar("embow_scoring", default=_by_itself)
"""What calls go by that are made in this context: a database's pipeline, where there is one."""


def score_texts(
    provider: Provider, score: Callable[[list[str]], Any], texts: list[str], beside: str
) -> Scores:
    """Return a score for each text, in order, shape ``(len(texts),)`` float32.

    Texts that are too many or too long for one call go in several, one after the other.

    Args:
        provider: Whose call it is: its limits, retries and classes of failure hold.
        score: Returns one number a text.
        texts: Texts, none of them empty.
        beside: What goes with every text, and counts for the limits: the query.

    Raises:
        BadInputError: A text is not valid Unicode.
        EmbeddingError: A call failed for good, or its answer cannot be used.
        CancelledError: The call was cancelled.
    """
    require_texts([*texts, beside])
    caller = Caller(provider, Work("rerank", score, _read), SCORES_BY.get()())
    sizes = np.array([size_of(text) for text in texts], np.int64) + size_of(beside)
    waiting, scores = [(0, len(texts))] if texts else [], np.empty(len(texts), np.float32)
    while waiting:
        start, stop = waiting.pop()
        end = start + _most(caller, sizes[start:stop])
        try:
            scores[start:end] = _called(caller, texts[start:end], sizes[start:end])
        except CallFailedError as failed:
            if failed.failure.kind is not FailureKind.TOO_LARGE or end - start == 1:
                error = final_error(provider, failed)
                raise error from (failed.error if error is not failed.error else None)
            middle = (start + end) // 2
            waiting += [(middle, stop), (start, middle)]
            continue
        if end < stop:
            waiting.append((end, stop))
    return scores


def _most(caller: Caller, sizes: Ints) -> int:
    caps = caller.caps()
    tokens = np.maximum(1, (sizes + 3) // 4)
    return max(1, fitting(min(caps.items, len(sizes)), ((tokens, caps.tokens), (sizes, caps.size))))


def _called(caller: Caller, texts: list[str], sizes: Ints) -> Scores:
    try:
        return caller.call(texts, int(np.maximum(1, (sizes + 3) // 4).sum()))
    except StopWork:
        stop_if_cancelled()
        raise


def _read(answer: Any, count: int) -> Scores:
    try:
        scores = np.asarray(answer, np.float32)
    except (TypeError, ValueError) as exc:
        raise BadOutputError(f"There is no number a text in the answer to {count}: {exc}") from exc
    if scores.shape != (count,):
        raise BadOutputError(f"Scores of shape {scores.shape} came back for {count} texts.")
    if not np.isfinite(scores).all():
        raise BadOutputError("A score is NaN or infinite.")
    return scores
