"""The contract of an embedding provider.

An author subclasses :class:`TextEmbeddingFunction` and writes ``ndims`` and
``generate_embeddings``, or :class:`EmbeddingFunction` and writes ``ndims``,
``compute_source_embeddings`` and ``compute_query_embeddings``. Everything else has a default.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from embow.embeddings import classify, config
from embow.embeddings.secrets import without_userinfo
from embow.embeddings.types import Failure, Limits, Role, operational
from embow.schema.fields import source_field, vector_field

Vectors = NDArray[np.float32]


class EmbeddingFunction(BaseModel, ABC):
    """Turn inputs of any kind into vectors.

    Fields are the settings a user passes to :meth:`create`. A field annotated with
    ``operational`` does not change the vectors; every other field that is not a secret is part
    of the function's identity.
    """

    model_config = ConfigDict(
        extra="forbid",
        protected_namespaces=(),
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        validate_default=False,
    )

    provider_id: ClassVar[str | None] = None
    """Name the class is registered under. Set by the registry or by the class itself."""

    remote: ClassVar[bool] = False
    """Whether calls cost money or leave the machine: turns the cache on by default."""

    max_retries: Annotated[int, operational] = Field(
        default=7, ge=0, description="Calls made again after a failure that may pass."
    )

    _original_args: dict[str, Any] = PrivateAttr(default_factory=dict)
    _known_ndims: int | None = PrivateAttr(default=None)

    # -- making one ---------------------------------------------------------------------

    @classmethod
    def create(cls, /, **kwargs: Any) -> Self:
        """Make a function, resolving ``"$var:NAME"`` and ``"$var:NAME:default"`` strings.

        Raises:
            ConfigurationError: An argument is unknown or has the wrong type.
            VariableNotFoundError: A variable has no value and no default.
        """
        try:
            function = cls(**config.resolve_arguments(cls, kwargs))
        except ValidationError as exc:
            raise config.explain_validation(cls, exc) from None
        function._original_args = dict(kwargs)
        return function

    # -- what an author writes ----------------------------------------------------------

    @abstractmethod
    def ndims(self) -> int:
        """Return the length of the vectors. Must not change, and must be cheap to ask twice."""

    @abstractmethod
    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed documents: one vector an input, in order, shape ``(n, ndims())`` float32."""

    @abstractmethod
    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed queries: one vector an input, in order, shape ``(n, ndims())`` float32."""

    # -- what an author may declare -----------------------------------------------------

    def limits(self) -> Limits:
        """Return what one call may hold. The default is no limit and one call at a time."""
        return Limits()

    def count_tokens(self, inputs: Sequence[Any]) -> list[int]:
        """Estimate the tokens of each input, for packing requests. Never used to refuse one."""
        return [_estimate_tokens(value) for value in inputs]

    def truncate(self, value: Any, max_tokens: int) -> Any:
        """Shorten one input to about ``max_tokens``. The default cuts text by its estimate."""
        if not isinstance(value, str):
            return value
        estimate = self.count_tokens([value])[0]
        if estimate <= max_tokens:
            return value
        return value[: max(1, int(len(value) * max_tokens / estimate))]

    def classify(self, error: BaseException) -> Failure:
        """Say what kind of failure an exception is, so that it is treated as such."""
        return classify.classify(error)

    def identity(self) -> dict[str, Any]:
        """Return everything that changes the vectors, as plain JSON values."""
        return {"provider": self.name_of_provider(), **config.identity_fields(self)}

    def account(self) -> str:
        """Return what rate limits are counted on. Never the key itself."""
        return config.account_digest(self)

    # -- used by the core ---------------------------------------------------------------

    def name_of_provider(self) -> str:
        """Return the registered name, or the class name of an unregistered class."""
        # A subclass is another provider: it must not pass as the one it inherits from.
        return vars(type(self)).get("provider_id") or type(self).__name__

    def model_label(self) -> str | None:
        """Return the model's name for messages, or ``None``."""
        name = getattr(self, "name", None) or getattr(self, "model_name", None)
        return name if isinstance(name, str) else None

    def known_ndims(self) -> int | None:
        """Return the length of the vectors in the table this function was read from, if any.

        For providers that must ask a server or load a model to know it.
        """
        return self._known_ndims

    def remember_ndims(self, ndims: int | None) -> None:
        """Keep a length read from a table, for :meth:`known_ndims`."""
        self._known_ndims = ndims

    def fingerprint(self) -> str:
        """Return the SHA-256 of the identity, in hex."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def safe_model_dump(self) -> dict[str, Any]:
        """Return the settings needed to make this function again, without any secret."""
        return config.dump_settings(self, self._original_args)

    def to_binding(self, source_column: str, vector_column: str) -> dict[str, Any]:
        """Return the record kept in a table's schema metadata."""
        return config.binding_record(self, source_column, vector_column)

    def compute_source_embeddings_with_retry(self, *args: Any, **kwargs: Any) -> Any:
        """Call :meth:`compute_source_embeddings`, again where the failure may pass."""
        from embow.embeddings.retry import call_with_retry

        return call_with_retry(self, self.compute_source_embeddings, *args, **kwargs)

    def compute_query_embeddings_with_retry(self, *args: Any, **kwargs: Any) -> Any:
        """Call :meth:`compute_query_embeddings`, again where the failure may pass."""
        from embow.embeddings.retry import call_with_retry

        return call_with_retry(self, self.compute_query_embeddings, *args, **kwargs)

    def sanitize_input(self, inputs: Any) -> list[Any]:
        """Return inputs as a plain list: one value, a sequence, numpy or Arrow data."""
        return sanitize(inputs)

    # -- schema markers -----------------------------------------------------------------

    def SourceField(self, **kwargs: Any) -> Any:  # noqa: N802 - the field's own name
        """Mark a model field as embedded by this function. Takes pydantic ``Field`` arguments."""
        return source_field(self, **kwargs)

    def VectorField(self, *, source: str | None = None, **kwargs: Any) -> Any:  # noqa: N802
        """Mark a model field as filled by this function, from ``source`` where given."""
        return vector_field(self, source=source, **kwargs)

    def __repr_args__(self) -> Any:
        for name, value in super().__repr_args__():
            yield name, without_userinfo(value) if isinstance(value, str) else value

    # -- equality -----------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, EmbeddingFunction):
            return NotImplemented
        return {n: getattr(self, n) for n in type(self).model_fields} == {
            n: getattr(other, n) for n in type(self).model_fields
        }

    def __hash__(self) -> int:
        return hash((type(self), self.fingerprint()))


class TextEmbeddingFunction(EmbeddingFunction):
    """Turn text into vectors, documents and queries alike.

    A provider whose model treats the two differently overrides
    :meth:`compute_query_embeddings`.
    """

    @abstractmethod
    def generate_embeddings(self, texts: list[str]) -> Any:
        """Embed texts: one vector a text, in order, shape ``(n, ndims())``."""

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed documents. An empty list gives an array of shape ``(0, ndims())``."""
        return self._embed_texts(inputs, *args, **kwargs)

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed queries, here in the same way as documents."""
        return self._embed_texts(query, *args, **kwargs)

    def _embed_texts(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        texts = require_texts(self.sanitize_input(inputs))
        if not texts:
            return np.empty((0, self.ndims()), dtype=np.float32)
        return self.generate_embeddings(texts, *args, **kwargs)


def sanitize(inputs: Any) -> list[Any]:
    """Return inputs as a plain list. Strings, bytes and other scalars count as one input."""
    if inputs is None or isinstance(inputs, (str, bytes, bytearray, memoryview)):
        return [inputs]
    if hasattr(inputs, "to_pylist"):
        return list(inputs.to_pylist())
    if isinstance(inputs, np.ndarray):
        return list(inputs.tolist()) if inputs.ndim else [inputs.item()]
    if hasattr(inputs, "to_list") and not isinstance(inputs, dict):
        return list(inputs.to_list())
    if isinstance(inputs, Iterable) and not isinstance(inputs, dict):
        return list(inputs)
    return [inputs]


def require_texts(values: list[Any]) -> list[str]:
    """Return the values, all of them text.

    Raises:
        TypeError: A value is not a string; the message names its position.
    """
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise TypeError(
                f"Input {position} is {type(value).__name__}, not text. "
                "A text embedding function takes strings; leave out missing values."
            )
    return values


def as_vectors(vectors: Any, count: int, ndims: int) -> Vectors:
    """Return vectors as a contiguous float32 array of shape ``(count, ndims)``.

    Raises:
        BadOutputError: The shape is another one.
    """
    from embow.errors import BadOutputError

    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if array.shape != (count, ndims):
        raise BadOutputError(
            f"The provider returned an array of shape {array.shape} for {count} inputs of "
            f"{ndims} dimensions; expected ({count}, {ndims})."
        )
    return array


def _estimate_tokens(value: Any) -> int:
    """Estimate tokens as one for every four UTF-8 bytes, at least one."""
    if isinstance(value, str):
        return max(1, (len(value.encode()) + 3) // 4)
    if isinstance(value, (bytes, bytearray)):
        return max(1, len(value) // 4)
    return 1


__all__ = [
    "EmbeddingFunction",
    "Role",
    "TextEmbeddingFunction",
    "Vectors",
    "as_vectors",
    "require_texts",
    "sanitize",
]
