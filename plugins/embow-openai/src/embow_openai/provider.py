"""The ``openai`` provider."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np

from embow.embeddings import (
    Failure,
    Limits,
    Role,
    Usage,
    Vectors,
    as_vectors,
    load_once,
    load_sdk,
    record_rate,
    record_request,
    record_usage,
    require_texts,
)
from embow.embeddings.answers import said
from embow.errors import PermanentError
from embow_openai import failures, models, tokens, wire
from embow_openai.client import client_for, connection_of
from embow_openai.settings import OpenAISettings


class OpenAIEmbeddings(OpenAISettings):
    """Embed text with OpenAI, Azure OpenAI, or any server that speaks OpenAI's protocol.

    ```python
    from embow.embeddings import get_registry

    small = get_registry().get("openai").create(name="text-embedding-3-small", dim=512)
    local = get_registry().get("openai").create(name="bge-m3", base_url="http://localhost:8080/v1")
    ```

    The server is not part of a function's identity: a model of the same name is taken to be the
    same model wherever it runs.
    """

    provider_id: ClassVar[str | None] = "openai"
    remote: ClassVar[bool] = True

    def ndims(self) -> int:
        """Return the length of the vectors.

        Free for OpenAI's own models and where ``dim`` is given. For another model the server is
        asked once a process, by embedding one word; a table keeps the answer, so that opening
        it asks nothing.
        """
        return self._free_ndims() or load_once(self._server_key(), self._ask_ndims)

    def generate_embeddings(self, texts: list[str]) -> Vectors:
        """Embed texts as documents, in one request."""
        return self._request(texts, "document")

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed queries: with their own prompt and fields, where those are set."""
        texts = require_texts(self.sanitize_input(query))
        vectors: Vectors = self.in_parts(texts, lambda part: self._request(part, "query"))
        return vectors

    def limits(self) -> Limits:
        """Return OpenAI's limits; what one text may hold is known for its own models only."""
        own = self.name in models.NATIVE_DIMS
        return Limits(
            max_items=self.batch_size,
            max_tokens_per_item=self.max_input_tokens
            or (models.MAX_TOKENS_PER_ITEM if own else None),
            max_tokens_per_request=models.MAX_TOKENS_PER_REQUEST,
            max_concurrency=16,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )

    def count_tokens(self, inputs: Sequence[Any]) -> list[int]:
        """Count with tiktoken where its vocabulary is on this machine, else estimate."""
        return tokens.count(inputs, self._vocabulary())

    def truncate(self, value: Any, max_tokens: int) -> Any:
        """Shorten a text, to the token where the vocabulary is on this machine."""
        vocabulary = self._vocabulary()
        if vocabulary is None or not isinstance(value, str):
            return super().truncate(value, max_tokens)
        return tokens.cut(value, max_tokens, vocabulary)

    def classify(self, error: BaseException) -> Failure:
        """Read the SDK's errors; everything else as usual."""
        return failures.classify(error) or super().classify(error)

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors; a known model's own length counts as given."""
        fields = {**super().identity(), "dim": self.dim or models.NATIVE_DIMS.get(self.name)}
        roles = ("prompts", "extra_body")
        return {name: value for name, value in fields.items() if value or name not in roles}

    # -- requests -----------------------------------------------------------------------

    def _request(self, texts: list[str], role: Role) -> Vectors:
        prompt = (self.prompts or {}).get(role, "")
        arguments: dict[str, Any] = {
            "model": self._model(),
            "input": [prompt + text for text in texts],
            "encoding_format": self.encoding_format,
            "extra_body": (self.extra_body or {}).get(role),
        }
        shortened = self.dim is not None and self.name != models.ADA_002
        if shortened:
            arguments["dimensions"] = self.dim
        if self.user is not None:
            arguments["user"] = self.user
        response = self._send(arguments)
        rate = wire.read_rate(response.headers)
        if rate is not None:
            record_rate(rate)
        answer = wire.read_answer(response.http_response.content, len(texts))
        record_usage(Usage(tokens=answer.tokens))
        self._compare(answer.model)
        ndims = self._free_ndims() or answer.vectors.shape[1]
        vectors = as_vectors(answer.vectors, len(texts), ndims)
        return _normalized(vectors) if shortened else vectors

    def _send(self, arguments: dict[str, Any]) -> Any:
        connection = connection_of(self)
        client = client_for(connection, partial(load_sdk, self))
        record_request()
        try:
            return client.embeddings.with_raw_response.create(**arguments)
        except load_sdk(self, "openai").BadRequestError as exc:
            if self.encoding_format == "float" or "base64" not in (words := said(exc.body)):
                raise
            raise PermanentError(
                f"The server sends no vectors as base64: {words[:200].rstrip('. ')}. Pass "
                "encoding_format='float'."
            ) from exc
        except load_sdk(self, "openai").NotFoundError as exc:
            parts, words = urlsplit(connection.address or ""), said(exc.body)
            if self.use_azure or parts.path.strip("/") or "model" in words or not parts.netloc:
                raise
            raise PermanentError(
                f"{parts.hostname} knows no /embeddings: {words[:200].rstrip('. ')}. "
                "Most servers have it below /v1: put that at the end of base_url."
            ) from exc

    def _compare(self, model: str | None) -> None:
        """Warn once a process where another model than the one asked for has answered."""
        asked = self._model()
        if model is None or self.use_azure or models.is_named(model, asked):
            return
        load_once((*self._server_key(), "answered", model), lambda: _warn_of_another(asked, model))

    # -- settings, as they come out -----------------------------------------------------

    def _model(self) -> str:
        return self.azure_deployment or self.name if self.use_azure else self.name

    def _free_ndims(self) -> int | None:
        return self.dim or models.NATIVE_DIMS.get(self.name) or self.known_ndims()

    def _ask_ndims(self) -> int:
        return int(self.compute_source_embeddings_with_retry(["length"]).shape[1])

    def _server_key(self) -> tuple[Any, ...]:
        return ("embow-openai", "ndims", self._model(), self.base_url, self.azure_endpoint)

    def _vocabulary(self) -> Any | None:
        return tokens.encoding() if self.name in models.NATIVE_DIMS else None


def _normalized(vectors: Vectors) -> Vectors:
    """Return shortened vectors at length one, as OpenAI sends them: other servers only cut."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    off = (norms > 0) & (np.abs(norms - 1) > 1e-3)
    return np.asarray(vectors / np.where(off, norms, 1), dtype=np.float32)


def _warn_of_another(asked: str, model: str) -> None:
    warnings.warn(
        f"{asked!r} was asked for and the server says that {model!r} answered. If that is another "
        "model, its vectors are kept under the wrong name: set name= to what the server has.",
        UserWarning,
        stacklevel=2,
    )
