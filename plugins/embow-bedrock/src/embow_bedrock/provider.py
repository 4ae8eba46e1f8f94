"""The ``bedrock-text`` provider."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from embow.embeddings import (
    External,
    Failure,
    Limits,
    TextEmbeddingFunction,
    Usage,
    Vectors,
    as_vectors,
    full_value,
    load_sdk,
    operational,
    record_request,
    record_usage,
    require_texts,
)
from embow.embeddings.answers import read_rows, token_count
from embow.embeddings.remote import (
    Elsewhere,
    PerMinute,
    ServerAddress,
    Timeout,
    split_to_limits,
)
from embow.embeddings.transport import bounded
from embow.errors import InputTooLongError
from embow_bedrock import failures, models
from embow_bedrock.client import MAX_CONCURRENCY, Route, client_for

InputType = Literal["search_document", "search_query", "classification", "clustering"]


class BedRockText(TextEmbeddingFunction):
    """Embed text with Titan, Nova or Cohere models on AWS Bedrock.

    ```python
    from embow.embeddings import get_registry

    titan = get_registry().get("bedrock-text").create(name="amazon.titan-embed-text-v2:0")
    ```

    Credentials are boto3's own: environment, profile, container or instance role, SSO.
    """

    provider_id: ClassVar[str | None] = "bedrock-text"
    remote: ClassVar[bool] = True

    name: Annotated[str, External(models.names_account)] = Field(
        default="amazon.titan-embed-text-v1",
        description="Model id, inference profile, or ARN that names the model.",
    )
    model: Annotated[str | None, operational] = Field(
        default=None,
        description="Model that name leads to, where it does not say: an application inference "
        "profile, a provisioned or imported model.",
    )
    region: Annotated[str, operational] = Field(default="us-east-1", description="AWS region.")
    profile_name: Elsewhere = Field(
        default=None, description="Profile of the AWS configuration. Default: boto3's choice."
    )
    assumed_role: Elsewhere = Field(default=None, description="ARN of a role to take on.")
    role_session_name: Annotated[str, operational] = Field(
        default="embow-embeddings", description="Name of the role's session in AWS logs."
    )
    runtime: Annotated[bool, operational] = Field(
        default=True, description="Kept for LanceDB's users; only the runtime service embeds."
    )
    dim: int | None = Field(
        default=None, gt=0, description="Length of the vectors. Default: the model's own."
    )
    source_input_type: InputType = Field(
        default="search_document", description="What documents are embedded for (Cohere)."
    )
    query_input_type: InputType = Field(
        default="search_query", description="What queries are embedded for (Cohere)."
    )
    endpoint_url: ServerAddress = Field(
        default=None, description="Address to call instead of AWS's, such as a VPC endpoint."
    )
    timeout: Timeout = Field(default=60.0, description="Seconds one call may take.")
    requests_per_minute: PerMinute = Field(
        default=None, description="Quota of your account, which Bedrock does not report."
    )
    tokens_per_minute: PerMinute = Field(
        default=None, description="Quota of your account, which Bedrock does not report."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        model = models.model_of(self.name, self.model)
        if self.dim is not None and self.dim not in model.lengths:
            lengths = " or ".join(str(length) for length in model.lengths)
            raise ValueError(f"{self.name} has {lengths} dimensions, not {self.dim}")
        if not self.runtime:
            raise ValueError(
                "runtime=False names Bedrock's control service, which cannot embed; leave it out"
            )
        return self

    def ndims(self) -> int:
        """Return the length of the vectors, without a call."""
        return self.dim or self._model().ndims

    def generate_embeddings(self, texts: list[str]) -> Vectors:
        """Embed texts as documents, in as many calls as the model needs."""
        return self._embed(texts, self.source_input_type)

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed documents, several calls at a time: Titan takes one text a call."""
        return self._embed(require_texts(self.sanitize_input(inputs)), self.source_input_type)

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed queries, as such where the model knows the difference."""
        return self._embed(require_texts(self.sanitize_input(query)), self.query_input_type)

    def limits(self) -> Limits:
        """Return the model's limits: Titan takes one text a call, Cohere 96."""
        model = self._model()
        return Limits(
            max_items=model.max_items,
            max_tokens_per_item=model.max_tokens,
            max_concurrency=MAX_CONCURRENCY,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )

    def truncate(self, value: Any, max_tokens: int) -> Any:
        """Shorten a text, to the characters AWS allows at least."""
        most = self._model().max_characters
        return super().truncate(value[:most] if isinstance(value, str) else value, max_tokens)

    def classify(self, error: BaseException) -> Failure:
        """Read boto3's errors; everything else as usual."""
        return failures.classify(error) or super().classify(error)

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors: the model itself, not the road to it."""
        return {**super().identity(), "name": self._model().pattern, "dim": self.ndims()}

    def account(self) -> str:
        """Return what quotas are counted on: keys, region, profile and role."""
        parts = (super().account(), self.region, self.profile_name, self.assumed_role)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    # -- calls ----------------------------------------------------------------------------

    def _embed(self, texts: Sequence[str], input_type: InputType) -> Vectors:
        self._check_lengths(texts)
        parts = list(split_to_limits(texts, self.limits(), self.count_tokens))
        rows: list[Vectors] = []
        for vectors, tokens in self._call_all(parts, input_type):
            record_request()
            record_usage(Usage(tokens=tokens))
            rows.append(vectors)
        return np.concatenate(rows) if rows else np.empty((0, self.ndims()), dtype=np.float32)

    def _check_lengths(self, texts: Sequence[str]) -> None:
        """Refuse what AWS would refuse, without the call."""
        most = self._model().max_characters
        for row, text in enumerate(texts):
            if most is not None and len(text) > most:
                raise InputTooLongError(
                    f"Text {row} has {len(text):,} characters; {self.name} takes {most:,}.", row=row
                )

    def _call_all(self, parts: list[Any], input_type: InputType) -> Iterator[tuple[Vectors, int]]:
        """Yield answers as they come, in order, so that each is counted when it is there."""
        call = partial(self._call, self._client() if parts else None, input_type)
        if len(parts) <= 1:
            yield from map(call, parts)
            return
        with ThreadPoolExecutor(min(len(parts), MAX_CONCURRENCY)) as pool:
            yield from pool.map(call, parts)

    def _call(
        self, client: Any, input_type: InputType, texts: Sequence[str]
    ) -> tuple[Vectors, int]:
        model = self._model()
        body = json.dumps(model.body(texts, input_type, self.dim))
        until = time.monotonic() + self.timeout
        response = client.invoke_model(
            modelId=self.name, body=body, accept="application/json", contentType="application/json"
        )
        answer = json.loads(bounded(response["body"].iter_chunks(2**16), until))
        vectors = read_rows(model.vectors(answer), len(texts), self.name)
        return as_vectors(vectors, len(texts), self.ndims()), _tokens(response, answer)

    def _client(self) -> Any:
        route = Route(
            self.region,
            self.profile_name,
            self.assumed_role,
            self.role_session_name,
            full_value(self, "endpoint_url"),
            self.timeout,
        )
        return client_for(route, partial(load_sdk, self))

    def _model(self) -> models.Model:
        return models.model_of(self.name, self.model)


def _tokens(response: dict[str, Any], answer: dict[str, Any]) -> int:
    headers = response["ResponseMetadata"].get("HTTPHeaders", {})
    reported = headers.get("x-amzn-bedrock-input-token-count")
    return token_count(reported or answer.get("inputTextTokenCount"))
