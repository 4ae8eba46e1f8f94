"""The ``cohere`` provider."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from embow.embeddings import (
    Limits,
    TextEmbeddingFunction,
    Usage,
    Vectors,
    as_vectors,
    load_once,
    record_usage,
    require_texts,
)
from embow.embeddings.answers import read_rows, token_count
from embow.embeddings.remote import PerMinute
from embow.media import MediaField, MediaSettings, map_inputs
from embow_cohere import images
from embow_cohere.account import NO_RETRIES, CohereAccount
from embow_cohere.models import MAX_ITEMS, MODELS

InputType = Literal["search_document", "search_query", "classification", "clustering"]


class CohereEmbeddingFunction(CohereAccount, TextEmbeddingFunction):
    """Embed text, and images where the model can, with Cohere's API.

    ```python
    from embow.embeddings import get_registry

    cohere = get_registry().get("cohere").create(name="embed-v4.0", output_dimension=512)
    ```

    Strings are text. Images are bytes, path objects, PIL images or data URIs; with
    ``source_modality="image"`` the strings of the source column are paths, too.
    """

    provider_id: ClassVar[str | None] = "cohere"
    remote: ClassVar[bool] = True

    name: str = Field(default="embed-english-v3.0", description="Model.")
    source_input_type: InputType = Field(
        default="search_document", description="What documents are embedded for."
    )
    query_input_type: InputType = Field(
        default="search_query", description="What queries are embedded for."
    )
    source_modality: Literal["text", "image"] = Field(
        default="text", description="What strings in the source column are."
    )
    truncation: Literal["NONE", "START", "END"] | None = Field(
        default=None,
        alias="truncate",  # the attribute of that name is the method every function has
        description="Which end of a too long text Cohere drops, or NONE to refuse it. "
        "Default: the table's on_long decides.",
    )
    output_dimension: int | None = Field(
        default=None, gt=0, description="Length of the vectors, from embed-v4.0 on."
    )
    media: MediaField = Field(
        default_factory=MediaSettings,
        description="What images may be read and fetched: addresses, sizes, folders. Paths in rows "
        "are read, from anywhere without a root here or EMBOW_MEDIA_ROOT.",
    )
    tokens_per_minute: PerMinute = Field(
        default=None, description="Limit of your account, which Cohere does not report."
    )

    @model_validator(mode="after")
    def _check_dimension(self) -> Self:
        model, wanted = MODELS.get(self.name), self.output_dimension
        if model is None or wanted is None or wanted == model.ndims:
            return self
        if not model.flexible:
            raise ValueError(
                f"{self.name} always has {model.ndims} dimensions; leave output_dimension out, "
                "or use name='embed-v4.0'"
            )
        if wanted > model.ndims:
            raise ValueError(f"{self.name} has at most {model.ndims} dimensions, not {wanted}")
        return self

    def ndims(self) -> int:
        """Return the length of the vectors: free for known models, else asked once a process."""
        key = ("embow-cohere", "ndims", self.name, self.base_url)
        return self._free_ndims() or load_once(key, self._ask_ndims)

    def generate_embeddings(self, texts: list[str]) -> Vectors:
        """Embed texts as documents."""
        return self._embed(texts, self.source_input_type)

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed documents: texts, images, or both."""
        values = self.sanitize_input(inputs)
        if self.source_modality == "image":
            values = self._data_uris(values)
        return self._embed(values, self.source_input_type)

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed queries: texts, images, or both. Strings are text."""
        return self._embed(self.sanitize_input(query), self.query_input_type)

    def limits(self) -> Limits:
        """Return Cohere's limits. Where Cohere is told to cut texts, their length has none."""
        model = MODELS.get(self.name)
        cut_there = self.truncation in ("START", "END")
        return Limits(
            max_items=MAX_ITEMS,
            max_tokens_per_item=model.max_tokens if model and not cut_there else None,
            max_concurrency=8,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors; a known model's own length counts as given."""
        model = MODELS.get(self.name)
        native = model.ndims if model else None
        return {**super().identity(), "output_dimension": self.output_dimension or native}

    # -- requests -------------------------------------------------------------------------

    def _embed(self, values: Sequence[Any], input_type: InputType) -> Vectors:
        if any(images.is_image(value) for value in values):
            return self._embed_mixed(values, input_type)
        texts = require_texts(list(values))
        vectors: Vectors = self.in_parts(texts, lambda part: self._request(input_type, texts=part))
        return vectors

    def _embed_mixed(self, values: Sequence[Any], input_type: InputType) -> Vectors:
        self._require_images()
        model = MODELS.get(self.name)
        if model is None or model.flexible:
            inputs = [_content(value) for value in self._with_data_uris(values)]
            mixed: Vectors = self.in_parts(inputs, lambda p: self._request(input_type, inputs=p))
            return mixed
        rows = np.empty((len(values), self.ndims()), dtype=np.float32)
        texts = [i for i, value in enumerate(values) if not images.is_image(value)]
        if texts:
            rows[texts] = self._embed([values[i] for i in texts], input_type)
        for i in set(range(len(values))) - set(texts):  # these models take one image a request
            rows[i] = self._request("image", images=self._data_uris([values[i]]))[0]
        return rows

    def _data_uris(self, values: Sequence[Any]) -> list[str]:
        """Read images, several at a time. A bad one is reported with its position."""
        return map_inputs(
            lambda value: images.data_uri(value, self.media), list(values), self.media.workers
        )

    def _with_data_uris(self, values: Sequence[Any]) -> list[Any]:
        """Return the inputs with every image as a data URI."""
        return map_inputs(
            lambda value: images.data_uri(value, self.media) if images.is_image(value) else value,
            list(values),
            self.media.workers,
        )

    def _require_images(self) -> None:
        model = MODELS.get(self.name)
        if model is not None and not model.images:
            raise TypeError(f"{self.name} embeds text only; use name='embed-v4.0' for images.")

    def _request(self, input_type: str, **inputs: list[Any]) -> Vectors:
        model = MODELS.get(self.name)
        arguments: dict[str, Any] = {
            "model": self.name,
            "input_type": input_type,
            "embedding_types": ["base64" if model is None or model.base64 else "float"],
            "request_options": NO_RETRIES,
            **inputs,
        }
        if self.truncation is not None:
            arguments["truncate"] = self.truncation
        if self.output_dimension is not None and (model is None or model.flexible):
            arguments["output_dimension"] = self.output_dimension
        answer = self._ask(lambda client: client.embed(**arguments))
        record_usage(Usage(tokens=_tokens(answer)))
        (sent,) = inputs.values()
        embeddings = getattr(answer, "embeddings", None)
        rows = getattr(embeddings, "base64", None) or getattr(embeddings, "float_", None)
        vectors = read_rows(rows, len(sent), "Cohere")
        return as_vectors(vectors, len(sent), self._free_ndims() or vectors.shape[1])

    def _free_ndims(self) -> int | None:
        model = MODELS.get(self.name)
        return self.output_dimension or (model.ndims if model else self.known_ndims())

    def _ask_ndims(self) -> int:
        return int(self._request(self.source_input_type, texts=["length"]).shape[1])


def _content(value: Any) -> dict[str, Any]:
    if images.is_image(value):
        return {"content": [{"type": "image_url", "image_url": {"url": value}}]}
    return {"content": [{"type": "text", "text": require_texts([value])[0]}]}


def _tokens(answer: Any) -> int:
    billed = getattr(getattr(answer, "meta", None), "billed_units", None)
    return token_count(getattr(billed, "input_tokens", None))
