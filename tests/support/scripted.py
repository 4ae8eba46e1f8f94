"""What the pipeline's tests embed with: a function answered by the test, and a clock it owns."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from embow.embeddings import TextEmbeddingFunction
from embow.embeddings.types import Limits
from embow.errors import BadInputError
from embow.pipeline import AddReport, EmbeddedBatch, EmbedJob, Pipeline, PipelineOptions, SourceRows
from embow.pipeline._clock import Clock, StopWork

NDIMS = 8
_number = itertools.count()


def vector_of(text: str) -> NDArray[np.float32]:
    """Return a vector that only this text has, never zero."""
    seed = int.from_bytes(text.encode()[:64].ljust(8, b"\1"), "little") % (2**32)
    made = np.random.default_rng([seed, len(text)]).standard_normal(NDIMS)
    return (made / np.linalg.norm(made)).astype(np.float32)


def vectors_of(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return one vector a text."""
    return np.stack([vector_of(text) for text in texts])


class Scripted(TextEmbeddingFunction):
    """Answers each call by ``answer(texts)`` and remembers what it was asked.

    Every instance is an account of its own, so that tests share no limits.
    """

    provider_id: ClassVar[str | None] = "scripted"
    remote: ClassVar[bool] = True

    name: str = Field(default_factory=lambda: f"model-{next(_number)}")

    _limits: Limits = PrivateAttr(default_factory=Limits)
    _answer: Callable[[list[str]], Any] = PrivateAttr(default_factory=lambda: vectors_of)
    _asked: list[list[str]] = PrivateAttr(default_factory=list)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def ndims(self) -> int:
        """Return the length of the vectors."""
        return NDIMS

    def limits(self) -> Limits:
        """Return what the test set."""
        return self._limits

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Remember the call and answer it."""
        with self._lock:
            self._asked.append(list(texts))
        return self._answer(texts)

    @property
    def asked(self) -> list[list[str]]:
        """The texts of every call, in the order they began."""
        return self._asked

    @property
    def sent(self) -> int:
        """Texts in all calls."""
        return sum(len(texts) for texts in self._asked)


class LocalScripted(Scripted):
    """The same on this machine."""

    provider_id: ClassVar[str | None] = "local-scripted"
    remote: ClassVar[bool] = False


def scripted(
    answer: Callable[[list[str]], Any] = vectors_of,
    *,
    local: bool = False,
    max_retries: int = 7,
    name: str | None = None,
    **limits: Any,
) -> Scripted:
    """Return a function with limits that answers as told."""
    named = {} if name is None else {"name": name}
    cls = LocalScripted if local else Scripted
    function = cls(max_retries=max_retries, **named)
    function._limits = Limits(**limits)
    function._answer = answer
    return function


def poisoned(*bad: str, index: bool = False) -> Callable[[list[str]], Any]:
    """Return an answer that refuses requests holding certain texts."""

    def answer(texts: list[str]) -> Any:
        for at, text in enumerate(texts):
            if text in bad:
                raise BadInputError(f"cannot embed {text!r}", row=at if index else None)
        return vectors_of(texts)

    return answer


def rows_of(texts: Iterable[str | None], rows: int = 1000) -> Iterator[SourceRows]:
    """Yield texts as rows with one column ``text``."""
    texts = iter(texts)
    while part := list(itertools.islice(texts, rows)):
        yield SourceRows(pa.record_batch({"text": pa.array(part, type=pa.string())}))


def job(function: TextEmbeddingFunction, column: str = "vector") -> EmbedJob:
    """Return the job of embedding the column ``text``."""
    return EmbedJob(function, "text", column, function.ndims())


def embed(
    function: TextEmbeddingFunction,
    texts: Iterable[str | None],
    *,
    pipeline: Pipeline | None = None,
    report: AddReport | None = None,
    rows: int = 1000,
    clock: Clock | None = None,
    **options: Any,
) -> tuple[list[EmbeddedBatch], AddReport]:
    """Embed texts through a pipeline and return everything that came out."""
    report = AddReport() if report is None else report
    pipeline = pipeline or Pipeline(None, clock=clock)
    stream = pipeline.embed_batches(
        rows_of(texts, rows), [job(function)], PipelineOptions(**options), report
    )
    return list(stream), report


def column(out: list[EmbeddedBatch], name: str = "vector") -> NDArray[np.float32]:
    """Return one vector column of all batches."""
    return np.concatenate([batch.vectors[name] for batch in out])


def validity(out: list[EmbeddedBatch], name: str = "vector") -> NDArray[np.bool_]:
    """Return which rows of all batches have a vector."""
    return np.concatenate([batch.valid[name] for batch in out])


class FakeClock(Clock):
    """Time that passes only where somebody waits."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        self._lock = threading.Lock()

    def time(self) -> float:
        """Return the time."""
        return self._now

    def monotonic(self) -> float:
        """Return the time."""
        return self._now

    def wait(self, seconds: float, cancelled: threading.Event) -> None:
        """Jump to the end of the wait."""
        if cancelled.is_set():
            raise StopWork
        until = self._now + seconds
        with self._lock:
            self._now = max(self._now, until)
