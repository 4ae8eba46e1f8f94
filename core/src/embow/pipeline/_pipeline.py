"""What a database embeds with: one pipeline, shared by its threads."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from embow.embeddings._base import EmbeddingFunction
from embow.errors import BadInputError
from embow.pipeline._cache import CachedVectors, EmbeddingCache, cache_file, cache_size
from embow.pipeline._cachefile import CacheFile
from embow.pipeline._calls import CallContext, Caller, Observer
from embow.pipeline._cancel import Cancellation, stop_if_cancelled
from embow.pipeline._clock import Clock, StopWork
from embow.pipeline._estimate import estimate_rows
from embow.pipeline._longer import LongInputs
from embow.pipeline._progress import Progress
from embow.pipeline._queries import embed_inputs
from embow.pipeline._requests import Vectors
from embow.pipeline._run import Run
from embow.pipeline._settle import Settler
from embow.pipeline._sharedlimits import SharedLimits
from embow.pipeline._types import (
    AddReport,
    EmbeddedBatch,
    EmbedJob,
    Estimate,
    PipelineOptions,
    SourceRows,
)
from embow.pipeline._usage import UsageCounter
from embow.pipeline._workers import WorkerPool

if TYPE_CHECKING:
    from embow.embeddings.types import Role


class Pipeline:
    """Turns source columns into vectors: once for each distinct input, within every limit.

    Safe to use from many threads and event loops at once; all of them share the limits of an
    account, and with a cache file so do other processes on the machine.

    Args:
        cache_path: File of the cache, or ``None`` for none. ``EMBOW_CACHE`` takes precedence.
        observers: Called with a :class:`RequestEvent` for each provider request, from any thread.
        clock: Time and waiting; tests replace it.

    Example::

        pipeline = Pipeline(None)
        report = AddReport()
        rows = (SourceRows(batch) for batch in batches)
        for out in pipeline.embed_batches(rows, jobs, PipelineOptions(), report):
            store(out.batch, out.vectors)
    """

    def __init__(
        self,
        cache_path: str | os.PathLike[str] | None = None,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
    ) -> None:
        path = cache_file(cache_path)
        self._file = CacheFile(path) if path is not None else None
        size = cache_size() if self._file is not None else 0
        self._cache = EmbeddingCache(self._file, size) if self._file and size else None
        self._shared = SharedLimits(self._file) if self._file is not None else None
        self._observers = tuple(observers)
        self._clock = clock or Clock()

    def embed_batches(
        self,
        rows: Iterable[SourceRows],
        jobs: Sequence[EmbedJob],
        options: PipelineOptions,
        report: AddReport,
        total: int | None = None,
    ) -> Generator[EmbeddedBatch, None, None]:
        """Yield the rows with the vectors of every job, in order.

        Batches of more than 4,096 rows are cut. A row whose source is null, empty or only white
        space has no vector, no hash and no failure. Closing the generator stops the work: what
        is on its way is waited for and cached, nothing more is sent.

        Args:
            rows: Rows of any number; memory does not grow with it. The rows a job does not need
                keep ``valid=False`` and their hash.
            jobs: One for each vector column to fill.
            options: How to embed.
            report: Receives the counts.
            total: Rows in all, for the progress bar.

        Raises:
            EmbeddingError: A call failed for good; or, with ``on_error="raise"``, one row did.
                What had been paid for by then is in the cache.
            BudgetExceededError: The next request would exceed ``options.budget``.
            CancelledError: The call was cancelled.
        """
        jobs = list(jobs)
        cancelled = Cancellation()
        run = Run(jobs, report, cancelled, Progress(options.progress, total))
        context = self._context(options, report, cancelled)
        policies = []
        for group in _by_function(jobs):
            first = group[0]
            settler = self._settler(first.function, first.ndims, "document", options, context)
            run.assign(WorkerPool(settler, context, run), group)
            policies.append(settler.longer)
        yield from run.stream(rows)
        for policy in policies:
            policy.warn()

    def embed_queries(
        self, function: EmbeddingFunction, inputs: Any, options: PipelineOptions | None = None
    ) -> Vectors:
        """Return the vectors of queries, shape ``(n, ndims)`` float32, in order.

        Args:
            function: What embeds.
            inputs: One query or several: whatever the function takes.
            options: How to embed; ``on_error`` is always ``raise``.

        Raises:
            BadInputError: A query is missing or empty.
            EmbeddingError: The call failed for good.
        """
        values = function.sanitize_input(inputs)
        for position, value in enumerate(values):
            if value is None or (isinstance(value, str) and not value.strip()):
                raise BadInputError(
                    f"Query {position} is empty: there is nothing to search for.", row=position
                )
        return self._embed_few(function, values, "query", options)

    def embed_documents(
        self, function: EmbeddingFunction, inputs: Any, options: PipelineOptions | None = None
    ) -> Vectors:
        """Return the vectors of a few documents, shape ``(n, ndims)`` float32, in order.

        Args:
            function: What embeds.
            inputs: Documents, none of them missing or empty.
            options: How to embed; ``on_error`` is always ``raise``.

        Raises:
            EmbeddingError: The call failed for good.
        """
        return self._embed_few(function, function.sanitize_input(inputs), "document", options)

    def _embed_few(
        self,
        function: EmbeddingFunction,
        values: list[Any],
        role: Role,
        options: PipelineOptions | None,
    ) -> Vectors:
        options = replace(options or PipelineOptions(), on_error="raise")
        context = self._context(options, AddReport(), Cancellation())
        settler = self._settler(function, function.ndims(), role, options, context)
        try:
            vectors = embed_inputs(settler, values)
        except StopWork:
            stop_if_cancelled()
            raise
        settler.longer.warn()
        return vectors

    def estimate(
        self,
        rows: Iterable[SourceRows],
        jobs: Sequence[EmbedJob],
        options: PipelineOptions | None = None,
    ) -> Estimate:
        """Return what embedding the rows would take, without calling a provider.

        Remembers 16 bytes for each distinct input.
        """
        options = options or PipelineOptions()
        context = self._context(options, AddReport(), Cancellation())
        plans = [
            (group, self._settler(group[0].function, group[0].ndims, "document", options, context))
            for group in _by_function(jobs)
        ]
        return estimate_rows(rows, plans)

    def close(self) -> None:
        """Close the cache file."""
        if self._file is not None:
            self._file.close()

    def _context(
        self, options: PipelineOptions, report: AddReport, cancelled: Cancellation
    ) -> CallContext:
        return CallContext(
            clock=self._clock,
            cancelled=cancelled,
            usage=UsageCounter(report, options.budget),
            observers=self._observers,
            shared=self._shared,
            deadline=options.deadline,
        )

    def _settler(
        self,
        function: EmbeddingFunction,
        ndims: int,
        role: Role,
        options: PipelineOptions,
        context: CallContext,
    ) -> Settler:
        wanted = function.remote if options.cache is None else options.cache
        caller = Caller(function, role, ndims, context, options.concurrency)
        return Settler(
            caller,
            LongInputs(function, options.on_long, caller.limits.max_tokens_per_item),
            CachedVectors(self._cache if wanted else None, function, role, ndims),
            stop_at_failure=options.on_error == "raise",
        )


def _by_function(jobs: Sequence[EmbedJob]) -> list[list[EmbedJob]]:
    """Group the jobs whose functions make the same vectors through the same account."""
    if len(jobs) == 1:
        return [list(jobs)]
    groups: dict[tuple[str, str, int], list[EmbedJob]] = {}
    for job in jobs:
        key = (job.function.fingerprint(), job.function.account(), job.ndims)
        groups.setdefault(key, []).append(job)
    return list(groups.values())
