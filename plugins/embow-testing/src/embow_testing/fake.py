"""A deterministic provider for tests: instant, counted, and failing on command."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from embow.embeddings import TextEmbeddingFunction, Vectors
from embow.embeddings.types import Failure, FailureKind, Limits, Role, Usage, operational
from embow.embeddings.types import record_usage as report_usage
from embow_testing.vectors import embed_values

_DEFAULT_NAME = "fake-words"

BadAnswer = Literal["short", "long", "wrong_ndims", "nan", "infinite", "zero"]


class FakeProviderError(Exception):
    """What a scripted call of :class:`FakeEmbeddings` raises, already classified."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"scripted failure: {failure.kind.name.lower()}")
        self.failure = failure

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.failure,)


@dataclass(frozen=True, slots=True)
class FakeCall:
    """One call that reached the fake, answered or not."""

    role: Role
    texts: tuple[str, ...]


@dataclass(slots=True)
class _Script:
    """What the next calls do, and what the earlier ones were."""

    calls: list[FakeCall] = field(default_factory=list)
    steps: deque[Failure | BadAnswer | None] = field(default_factory=deque)
    poison: set[str] = field(default_factory=set)


class FakeEmbeddings(TextEmbeddingFunction):
    """Embed text by its words, the same way in every process, without a model.

    Texts that share words are near each other. It is registered only where a test does so:
    ``get_registry().register("fake")(FakeEmbeddings)``.

    Example:
        >>> from embow_testing.fake import FakeEmbeddings
        >>> fake = FakeEmbeddings.create(dim=8)
        >>> fake.generate_embeddings(["a red apple", "a red pear"]).shape
        (2, 8)
        >>> len(fake.calls), fake.embedded
        (1, 2)
    """

    provider_id: ClassVar[str | None] = "fake"

    name: str = Field(default=_DEFAULT_NAME, description="Model name; another name, other vectors.")
    dim: int = Field(default=16, ge=1, description="Length of the vectors.")
    batch_size: Annotated[int | None, operational] = Field(
        default=None, ge=1, description="Texts in one call; no limit by default."
    )
    max_concurrency: Annotated[int, operational] = Field(
        default=1, ge=1, description="Calls that may run at once."
    )
    max_tokens: Annotated[int | None, operational] = Field(
        default=None, ge=1, description="Tokens in one text; no limit by default."
    )

    _script: _Script = PrivateAttr(default_factory=_Script)

    # -- the contract -------------------------------------------------------------------

    def ndims(self) -> int:
        """Return the length of the vectors."""
        return self.dim

    def limits(self) -> Limits:
        """Return the limits given as settings."""
        return Limits(
            max_items=self.batch_size,
            max_tokens_per_item=self.max_tokens,
            max_concurrency=self.max_concurrency,
        )

    def classify(self, error: BaseException) -> Failure:
        """Return the scripted failure, or what the default says of other errors."""
        return error.failure if isinstance(error, FakeProviderError) else super().classify(error)

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed queries, as documents but counted as queries."""
        return self._answer("query", self.sanitize_input(query))

    def generate_embeddings(self, texts: list[str]) -> Vectors:
        """Embed texts: float32, unit length, shape ``(len(texts), dim)``."""
        return self._answer("document", texts)

    # -- what a test looks at -----------------------------------------------------------

    @property
    def calls(self) -> list[FakeCall]:
        """Every call so far, in the order they began."""
        return self._script.calls

    @property
    def embedded(self) -> int:
        """Texts in all calls so far, failed ones included."""
        return sum(len(call.texts) for call in self._script.calls)

    # -- what a test scripts ------------------------------------------------------------

    def then_answer(self, times: int = 1) -> FakeEmbeddings:
        """Let the next calls succeed. Returns itself, so that steps can be chained."""
        return self._then(None, times)

    def then_fail(
        self,
        kind: FailureKind,
        *,
        times: int = 1,
        retry_after: float | None = None,
        index: int | None = None,
    ) -> FakeEmbeddings:
        """Let the next calls fail. Returns itself, so that steps can be chained."""
        return self._then(Failure(kind, retry_after, index), times)

    def then_answer_badly(self, answer: BadAnswer, times: int = 1) -> FakeEmbeddings:
        """Let the next calls return unusable vectors. Returns itself."""
        return self._then(answer, times)

    def always_refuse(self, texts: Iterable[str]) -> FakeEmbeddings:
        """Refuse every call that holds one of the texts, as a bad input. Returns itself."""
        self._script.poison.update(texts)
        return self

    # -- inside -------------------------------------------------------------------------

    def _then(self, step: Failure | BadAnswer | None, times: int) -> FakeEmbeddings:
        self._script.steps.extend([step] * times)
        return self

    def _answer(self, role: Role, texts: list[str]) -> Vectors:
        script = self._script
        script.calls.append(FakeCall(role, tuple(texts)))
        try:
            step = script.steps.popleft()
        except IndexError:
            step = None
        if isinstance(step, Failure):
            raise FakeProviderError(step)
        if script.poison and not script.poison.isdisjoint(texts):
            raise FakeProviderError(Failure(FailureKind.BAD_INPUT))
        vectors = embed_values([self._as_this_model(text) for text in texts], self.dim)
        report_usage(Usage(sum(self.count_tokens(texts))))
        return vectors if step is None else _SPOILERS[step](vectors)

    def _as_this_model(self, text: str) -> str:
        """Return text whose words are foreign to models of another name."""
        if self.name == _DEFAULT_NAME:
            return text
        return " ".join(f"{self.name}/{word}" for word in text.split())


def _filled(value: float) -> Callable[[Vectors], Vectors]:
    def spoil(vectors: Vectors) -> Vectors:
        vectors[-1:] = value
        return vectors

    return spoil


_SPOILERS: dict[BadAnswer, Callable[[Vectors], Vectors]] = {
    "short": lambda vectors: vectors[:-1],
    "long": lambda vectors: np.concatenate([vectors, vectors[-1:]]),
    "wrong_ndims": lambda vectors: vectors[:, :-1],
    "nan": _filled(math.nan),
    "infinite": _filled(math.inf),
    "zero": _filled(0.0),
}
