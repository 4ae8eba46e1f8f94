"""The ``openai`` provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from embow.embeddings import (
    Failure,
    Limits,
    TextEmbeddingFunction,
    Usage,
    Vectors,
    as_vectors,
    external,
    load_once,
    operational,
    record_rate,
    record_request,
    record_usage,
)
from embow.embeddings.remote import PerMinute, ServerAddress, Timeout
from embow_openai import failures, models, tokens, wire
from embow_openai.client import client_for


class OpenAIEmbeddings(TextEmbeddingFunction):
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

    name: str = Field(default=models.ADA_002, description="Model.")
    dim: int | None = Field(
        default=None,
        gt=0,
        description="Length of the vectors, where the model can shorten them. Default: its own.",
    )
    base_url: ServerAddress = Field(
        default=None, description="Address of an OpenAI-compatible server, /v1 included."
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key. Default: OPENAI_API_KEY, with Azure AZURE_OPENAI_API_KEY."
    )
    organization: Annotated[str | None, operational] = Field(
        default=None, description="Organization that is billed."
    )
    default_headers: Annotated[dict[str, SecretStr] | None, external] = Field(
        default=None, description="Headers sent with every request. Treated as secrets."
    )
    use_azure: Annotated[bool, operational] = Field(
        default=False, description="Call Azure OpenAI instead of OpenAI."
    )
    azure_endpoint: ServerAddress = Field(
        default=None, description="Azure resource. Default: base_url, AZURE_OPENAI_ENDPOINT."
    )
    api_version: Annotated[str | None, operational] = Field(
        default=None, description="Azure API version. Default: OPENAI_API_VERSION."
    )
    azure_deployment: Annotated[str | None, operational] = Field(
        default=None, description="Azure deployment of the model. Default: name."
    )
    azure_ad_token: SecretStr | None = Field(
        default=None, description="Microsoft Entra token, in place of a key."
    )
    timeout: Timeout = 120.0
    user: Annotated[str | None, operational] = Field(
        default=None, description="Your end user, for OpenAI's abuse monitoring."
    )
    batch_size: Annotated[int, operational] = Field(
        default=models.MAX_ITEMS,
        gt=0,
        le=models.MAX_ITEMS,
        description="Inputs in one request. Lower it for servers that take fewer.",
    )
    requests_per_minute: PerMinute = Field(
        default=None, description="Limit of your account. Default: as the server reports."
    )
    tokens_per_minute: PerMinute = Field(
        default=None, description="Limit of your account. Default: as the server reports."
    )

    @model_validator(mode="after")
    def _check_dim(self) -> Self:
        native = models.NATIVE_DIMS.get(self.name)
        if self.dim is None or native is None:
            return self
        if self.name == models.ADA_002 and self.dim != native:
            raise ValueError(
                f"{self.name} always has {native} dimensions; leave dim out, or use "
                "name='text-embedding-3-small'"
            )
        if self.dim > native:
            raise ValueError(f"{self.name} has at most {native} dimensions, not {self.dim}")
        return self

    def ndims(self) -> int:
        """Return the length of the vectors.

        Free for OpenAI's own models and where ``dim`` is given. For another model the server is
        asked once a process, by embedding one word; a table keeps the answer, so that opening
        it asks nothing.
        """
        return self._free_ndims() or load_once(self._server_key(), self._ask_ndims)

    def generate_embeddings(self, texts: list[str]) -> Vectors:
        """Embed texts in one request."""
        arguments: dict[str, Any] = {
            "model": self._model(),
            "input": texts,
            "encoding_format": "base64",
        }
        if self.dim is not None and self.name != models.ADA_002:
            arguments["dimensions"] = self.dim
        if self.user is not None:
            arguments["user"] = self.user
        record_request()
        response = client_for(self).embeddings.with_raw_response.create(**arguments)
        rate = wire.read_rate(response.headers)
        if rate is not None:
            record_rate(rate)
        vectors, used = wire.read_vectors(response.http_response.content, len(texts))
        record_usage(Usage(tokens=used))
        return as_vectors(vectors, len(texts), self._free_ndims() or vectors.shape[1])

    def limits(self) -> Limits:
        """Return OpenAI's limits; what one text may hold is known for its own models only."""
        own = self.name in models.NATIVE_DIMS
        return Limits(
            max_items=self.batch_size,
            max_tokens_per_item=models.MAX_TOKENS_PER_ITEM if own else None,
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
        return {**super().identity(), "dim": self.dim or models.NATIVE_DIMS.get(self.name)}

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
