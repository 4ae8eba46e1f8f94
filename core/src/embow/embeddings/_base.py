"""The contract of an embedding provider.

An author subclasses :class:`TextEmbeddingFunction` and writes ``ndims`` and
``generate_embeddings``, or :class:`EmbeddingFunction` and writes ``ndims``,
``compute_source_embeddings`` and ``compute_query_embeddings``. Everything else has a default.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from pydantic import PrivateAttr

from embow.embeddings import _records as records
from embow.embeddings._calling import completed
from embow.embeddings._provider import Provider
from embow.embeddings._retry import call_with_retry
from embow.embeddings.remote import split_to_limits
from embow.embeddings.types import VectorForm
from embow.errors import BadInputError
from embow.schema._fields import source_field, vector_field


class EmbeddingFunction(Provider):
    """Turn inputs of any kind into vectors.

    Fields are the settings a user passes to :meth:`create`; see :class:`Provider` for their
    classes.
    """

    _known_ndims: int | None = PrivateAttr(default=None)

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

    def vector_form(self) -> VectorForm:
        """Return what is made of one input: one vector of floats, unless something else is said."""
        return VectorForm()

    # -- used by the core ---------------------------------------------------------------

    def in_parts(self, inputs: Sequence[Any], embed: Callable[[list[Any]], Any]) -> Any:
        """Call ``embed`` with as many inputs at a time as :meth:`limits` allow; join the vectors.

        No inputs give an array of shape ``(0, ndims())`` without a call.
        """
        if not inputs:
            return np.empty((0, self.ndims()), dtype=np.float32)
        if len(inputs) == 1:
            return completed(embed(list(inputs)))
        parts = split_to_limits(inputs, self.limits(), self.count_tokens)
        vectors = [completed(embed(list(part))) for part in parts]
        if self.vector_form().multi:
            return [each for part in vectors for each in part]
        return vectors[0] if len(vectors) == 1 else np.concatenate(vectors)

    def known_ndims(self) -> int | None:
        """Return the length of the vectors in the table this function was read from, if any.

        For providers that must ask a server or load a model to know it.
        """
        return self._known_ndims

    def remember_ndims(self, ndims: int | None) -> None:
        """Keep a length read from a table, for :meth:`known_ndims`."""
        self._known_ndims = ndims

    def to_binding(self, source_column: str, vector_column: str) -> dict[str, Any]:
        """Return the record kept in a table's schema metadata."""
        return records.make_record(self, self.ndims(), source_column, vector_column)

    def compute_source_embeddings_with_retry(self, *args: Any, **kwargs: Any) -> Any:
        """Call :meth:`compute_source_embeddings`, again where the failure may pass."""
        return call_with_retry(self, self.compute_source_embeddings, *args, **kwargs)

    def compute_query_embeddings_with_retry(self, *args: Any, **kwargs: Any) -> Any:
        """Call :meth:`compute_query_embeddings`, again where the failure may pass."""
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


class TextEmbeddingFunction(EmbeddingFunction):
    """Turn text into vectors, documents and queries alike.

    A provider whose model treats the two differently overrides
    :meth:`compute_query_embeddings`.
    """

    @abstractmethod
    def generate_embeddings(self, texts: list[str]) -> Any:
        """Embed texts: one vector a text, in order, shape ``(n, ndims())``.

        Called with at least one text, and no more than :meth:`limits` allow. It may be a coroutine.
        """

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed documents. An empty list gives an array of shape ``(0, ndims())``."""
        return self._embed_texts(inputs, *args, **kwargs)

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed queries, here in the same way as documents."""
        return self._embed_texts(query, *args, **kwargs)

    def _embed_texts(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        texts = require_texts(self.sanitize_input(inputs))
        return self.in_parts(texts, lambda part: self.generate_embeddings(part, *args, **kwargs))


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
    """Return the values, all of them text that can be sent.

    Raises:
        TypeError: A value is not a string; the message names its position.
        BadInputError: A text is not valid Unicode; see :func:`surrogate_in`.
    """
    broken: dict[int, BadInputError] = {}
    for row, value in enumerate(values):
        if not isinstance(value, str):
            raise TypeError(
                f"Input {row} is {type(value).__name__}, not text. "
                "A text embedding function takes strings; leave out missing values."
            )
        if not value.isascii() and (place := surrogate_in(value)) is not None:
            broken[row] = _broken(row, place)
    if broken:
        first = broken.pop(min(broken))
        first.others = dict(broken)
        raise first
    return values


def surrogate_in(text: str) -> int | None:
    """Return where a text holds a lone surrogate, half a character that no server can be sent."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        return exc.start
    return None


def _broken(row: int, place: int) -> BadInputError:
    return BadInputError(
        f"The text is not valid Unicode: a lone surrogate at character {place}. Decode the text "
        "with errors='replace' where it is read.",
        row=row,
    )


def _estimate_tokens(value: Any) -> int:
    """Estimate tokens as one for every four UTF-8 bytes, at least one."""
    if isinstance(value, str):
        return max(1, (len(value.encode(errors="replace")) + 3) // 4)
    if isinstance(value, (bytes, bytearray)):
        return max(1, len(value) // 4)
    return 1
