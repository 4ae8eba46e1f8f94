"""What a database embeds with: one pipeline, shared by its threads."""

from __future__ import annotations

import os
from collections.abc import Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from embow._cancel import Cancellation, stop_if_cancelled
from embow.embeddings._base import EmbeddingFunction, require_texts
from embow.embeddings._retry import label
from embow.errors import BadInputError, ConfigurationError
from embow.pipeline._cache import EmbeddingCache, cache_file, cache_size, space_of
from embow.pipeline._cached import CachedVectors
from embow.pipeline._cachefile import CacheFile
from embow.pipeline._calls import CallContext, Caller, Observer, embedding
from embow.pipeline._clock import Clock, StopWork
from embow.pipeline._embedder import Embedder
from embow.pipeline._estimate import estimate_rows
from embow.pipeline._limiter import reset_limiters
from embow.pipeline._longer import LongInputs
from embow.pipeline._progress import Listener, Progress
from embow.pipeline._queries import embed_inputs
from embow.pipeline._requests import Vectors
from embow.pipeline._run import Run, pass_on
from embow.pipeline._scores import SCORES_BY
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

    Attributes:
        same_models: What this process found to make the vectors that are stored already.

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
        self._observers = [Listener(call, "observer of requests") for call in observers]
        self._clock = clock or Clock()
        self.same_models: set[Hashable] = set()

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
            jobs: One for each vector column to fill. With none, the rows come out as they are.
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
        if not jobs:  # nothing here takes long enough for a bar that nobody asked for
            yield from pass_on(rows, Progress(options.progress or False, total))
            return
        cancelled = Cancellation()
        run = Run(jobs, report, cancelled, Progress(options.progress, total))
        context = self._context(options, report, cancelled)
        policies = []
        for group in _by_function(jobs):
            embedder = self._embedder(group[0], "document", options, context)
            run.assign(embedder, group)
            policies.append(embedder.longer)
        yield from run.stream(rows)
        for policy in policies:
            policy.warn()

    def embed_queries(
        self, function: EmbeddingFunction, inputs: Any, options: PipelineOptions | None = None
    ) -> Vectors:
        """Return the vectors of queries, shape ``(n, ndims)`` float32, in order.

        Where the function makes several of each, an array of ``n`` arrays.

        Args:
            function: What embeds.
            inputs: One query or several: whatever the function takes.
            options: How to embed; ``on_error`` is always ``raise``.

        Raises:
            BadInputError: A query is missing, empty or not valid Unicode.
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
        for value in values:
            if not isinstance(value, str):
                break
        else:
            require_texts(values)
        options = options or PipelineOptions()
        if options.on_error != "raise":
            options = replace(options, on_error="raise")
        context = self._context(options, AddReport(), Cancellation())
        job = EmbedJob(function, "", "", function.ndims())
        embedder = self._embedder(job, role, options, context)
        try:
            vectors = embed_inputs(embedder, values)
        except StopWork:
            stop_if_cancelled()
            raise
        embedder.longer.warn()
        return vectors

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """Have what models score inside go by this pipeline's clock, observers and limits."""
        token = SCORES_BY.set(lambda: self._context(PipelineOptions(), AddReport(), Cancellation()))
        try:
            yield
        finally:
            SCORES_BY.reset(token)

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
            (group, self._embedder(group[0], "document", options, context, looks=True))
            for group in _by_function(jobs)
        ]
        return estimate_rows(rows, plans)

    def reset_limits(self) -> None:
        """Forget what servers said of rates, pauses and sizes: here, and in the cache file."""
        reset_limiters()
        if self._shared is not None:
            self._shared.reset()

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

    def _embedder(
        self,
        job: EmbedJob,
        role: Role,
        options: PipelineOptions,
        context: CallContext,
        looks: bool = False,
    ) -> Embedder:
        work = embedding(job.function, role, job.ndims)
        caller = Caller(job.function, work, context, options.concurrency)
        if options.on_long == "split" and work.form.whole and not work.form.multi:
            raise ConfigurationError(
                f"{label(job.function)} makes vectors of {work.form.value_type}, of which there is "
                "no mean: on_long='split' cannot be used. Cut long inputs with 'truncate', or "
                "refuse them with 'error'."
            )
        longest = caller.limits.max_tokens_per_item
        return Embedder(
            caller,
            LongInputs(job.function, options.on_long or "truncate", longest),
            self._cached(job, role, options.cache, looks),
            stop_at_failure=options.on_error == "raise",
            rider=job.rider,
        )

    def _cached(self, job: EmbedJob, role: Role, wanted: bool | None, looks: bool) -> CachedVectors:
        function, ndims = job.function, job.ndims
        # A local query is computed once and waited for: a kill loses nothing of it.
        use = function.remote or role == "document" if wanted is None else wanted
        cache = self._cache if use else None

        def sampled(values: list[Any]) -> Vectors:
            context = self._context(PipelineOptions(), AddReport(), Cancellation())
            work = embedding(function, role, ndims)
            return Caller(function, work, replace(context, observers=())).call(values, 0)

        space = space_of(job.fingerprint or function.fingerprint(), role) if cache else b""
        always = function.remote or bool(wanted)
        known = looks or function.remote or cache is None
        embed = None if known else sampled
        return CachedVectors(cache, function, space, ndims, always, embed)


def _by_function(jobs: Sequence[EmbedJob]) -> list[list[EmbedJob]]:
    """Group the jobs whose functions make the same vectors through the same account.

    The first of each group has the source that is to ride along, where one of them has any.
    """
    if len(jobs) == 1:
        return [list(jobs)]
    groups: dict[tuple[str, str, int], list[EmbedJob]] = {}
    for job in jobs:
        key = (job.fingerprint or job.function.fingerprint(), job.function.account(), job.ndims)
        groups.setdefault(key, []).append(job)
    return [sorted(group, key=lambda job: job.rider is None) for group in groups.values()]
