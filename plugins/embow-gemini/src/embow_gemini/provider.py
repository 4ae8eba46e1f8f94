"""The ``gemini-text`` provider."""

from __future__ import annotations

import importlib
import importlib.util
import os
import warnings
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, SecretStr, field_validator, model_validator

from embow.embeddings import (
    External,
    Failure,
    Limits,
    TextEmbeddingFunction,
    Usage,
    Vectors,
    as_vectors,
    full_value,
    load_once,
    load_sdk,
    operational,
    record_request,
    record_usage,
    require_texts,
    secret_value,
)
from embow.embeddings.answers import read_rows, readable, token_count
from embow.embeddings.remote import (
    Elsewhere,
    PerMinute,
    ServerAddress,
    Timeout,
    client_once,
)
from embow.embeddings.transport import bounded_client
from embow_gemini import failures, models


class GeminiText(TextEmbeddingFunction):
    """Embed text with Google's models, through the Gemini API or, with ``project``, Vertex AI.

    ```python
    from embow.embeddings import get_registry

    gemini = get_registry().get("gemini-text").create(dim=768)
    ```

    Google has switched off ``models/embedding-001``. Asking for it gives the current model, with
    a warning, because the vectors of the two cannot be compared.
    """

    provider_id: ClassVar[str | None] = "gemini-text"
    remote: ClassVar[bool] = True

    name: Annotated[str, External(models.names_resource)] = Field(
        default=models.CURRENT, description="Model."
    )
    dim: int | None = Field(
        default=None, gt=0, description="Length of the vectors. Default: the model's own."
    )
    query_task_type: str = Field(
        default="retrieval_query", description="What queries are embedded for."
    )
    source_task_type: str = Field(
        default="retrieval_document", description="What documents are embedded for."
    )
    title: str | None = Field(
        default=None, description="One title for all documents, with retrieval_document only."
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key. Default: GOOGLE_API_KEY, GEMINI_API_KEY."
    )
    project: Elsewhere = Field(
        default=None, description="Google Cloud project: calls Vertex AI with its credentials."
    )
    location: Annotated[str | None, operational] = Field(
        default=None,
        pattern=r"^[a-z0-9-]+$",  # it becomes part of the host's name
        description="Vertex AI location. Default: GOOGLE_CLOUD_LOCATION, global.",
    )
    base_url: ServerAddress = Field(
        default=None, description="Address to call instead of Google's."
    )
    timeout: Timeout = 120.0
    requests_per_minute: PerMinute = Field(
        default=None, description="Limit of your account, which Google does not report."
    )
    tokens_per_minute: PerMinute = Field(
        default=None, description="Limit of your account, which Google does not report."
    )

    @field_validator("name")
    @classmethod
    def _current_name(cls, value: str) -> str:
        name = value.removeprefix("models/")
        if name not in models.SHUT_DOWN:
            return name
        warnings.warn(
            f"Google has switched off {name}; {models.CURRENT} is used instead. Its vectors "
            "cannot be compared with old ones: embed old tables anew.",
            UserWarning,
            stacklevel=4,
        )
        return models.CURRENT

    @field_validator("query_task_type", "source_task_type")
    @classmethod
    def _known_task(cls, value: str) -> str:
        return models.task_type(value)

    @model_validator(mode="after")
    def _check(self) -> Self:
        model = models.find_model(self.name)
        if model is not None and self.dim is not None and self.dim > model.ndims:
            raise ValueError(f"{self.name} has at most {model.ndims} dimensions, not {self.dim}")
        if self.title is not None and self.source_task_type != "retrieval_document":
            raise ValueError("title needs source_task_type='retrieval_document'")
        return self

    def ndims(self) -> int:
        """Return the length of the vectors: free for known models, else asked once a process."""
        key = ("embow-gemini", "ndims", self.name, self.base_url, self.project)
        return self._free_ndims() or load_once(key, self._ask_ndims)

    def generate_embeddings(self, texts: list[str]) -> Vectors:
        """Embed texts as documents, in one request."""
        return self._request(texts, self.source_task_type, self.title)

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed queries with the task type of queries."""
        texts = require_texts(self.sanitize_input(query))
        vectors: Vectors = self.in_parts(
            texts, lambda part: self._request(part, self.query_task_type, None)
        )
        return vectors

    def limits(self) -> Limits:
        """Return the limits of the Gemini API or of Vertex AI."""
        model = models.find_model(self.name)
        vertex = self._project() is not None
        alone = vertex and model is not None and model.alone_on_vertex
        many = models.VERTEX_MAX_ITEMS if vertex else models.MAX_ITEMS
        return Limits(
            max_items=1 if alone else many,
            max_tokens_per_item=model.max_tokens if model else None,
            max_tokens_per_request=models.VERTEX_MAX_TOKENS if vertex else None,
            max_concurrency=16 if alone else 8,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )

    def classify(self, error: BaseException) -> Failure:
        """Read the SDK's errors; everything else as usual."""
        return failures.classify(error) or super().classify(error)

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors; a known model's own length counts as given."""
        model = models.find_model(self.name)
        fields = {**super().identity(), "dim": self.dim or (model.ndims if model else None)}
        document = models.prefix(self.name, self.source_task_type, self.title)
        if document is not None:
            query = models.prefix(self.name, self.query_task_type)
            fields["prefixes"] = {"document": document, "query": query}
        return fields

    # -- requests -------------------------------------------------------------------------

    def _request(self, texts: Sequence[str], task_type: str, title: str | None) -> Vectors:
        config: dict[str, Any] = {}
        prefix = models.prefix(self.name, task_type, title)
        if prefix is None:
            config["task_type"] = task_type.upper()
            if title is not None:
                config["title"] = title
        if self.dim is not None:
            config["output_dimensionality"] = self.dim
        # Plain strings would be melted into one vector by multimodal models.
        parts = [{"text": (prefix or "") + text} for text in texts]
        contents = [{"parts": [part], "role": "user"} for part in parts]
        client = self._client()
        record_request()
        with readable(self.name):
            answer = client.models.embed_content(model=self.name, contents=contents, config=config)
        embeddings = answer.embeddings or []
        vectors = read_rows([each.values for each in embeddings], len(texts), self.name)
        record_usage(Usage(tokens=sum(_tokens(embedding) for embedding in embeddings)))
        return self._checked(vectors)

    def _checked(self, rows: Vectors) -> Vectors:
        vectors = as_vectors(rows, len(rows), self._free_ndims() or rows.shape[1])
        model = models.find_model(self.name)
        if model is not None and vectors.shape[1] == model.ndims:
            return vectors
        # Google normalises full vectors only.
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)

    def _free_ndims(self) -> int | None:
        model = models.find_model(self.name)
        return self.dim or (model.ndims if model else self.known_ndims())

    def _ask_ndims(self) -> int:
        return int(self._request(["length"], self.source_task_type, None).shape[1])

    # -- client ---------------------------------------------------------------------------

    def _project(self) -> str | None:
        """Return the project Vertex AI is called for, ``None`` with the Gemini API."""
        if self.project is not None:
            return self.project
        asked = os.environ.get("GOOGLE_GENAI_USE_VERTEXAI", "").lower() in ("1", "true")
        return os.environ.get("GOOGLE_CLOUD_PROJECT") if asked and self.api_key is None else None

    def _client(self) -> Any:
        project = self._project()
        account: dict[str, Any]
        if project is None:
            key = secret_value(self, "api_key", env=("GOOGLE_API_KEY", "GEMINI_API_KEY"))
            account = {"vertexai": False}
        else:
            key = None
            location = self.location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "global"
            account = {"vertexai": True, "project": project, "location": location}
        base_url = full_value(self, "base_url")
        options: dict[str, Any] = {"base_url": base_url, "timeout": int(self.timeout * 1000)}

        def make() -> Any:
            genai = load_sdk(self, "google.genai")
            given = dict(options)
            # Early SDKs make their own client, and so must Vertex AI, for its certificates.
            if project is None and "httpx_client" in genai.types.HttpOptions.model_fields:
                given["httpx_client"] = bounded_client(
                    _http().Client, self.timeout, base_url, follow_redirects=True
                )
            # Without retry options the SDK makes one call: the caller retries.
            return genai.Client(api_key=key, http_options=given, **account)

        environment = (
            os.environ.get("GOOGLE_GEMINI_BASE_URL"),
            os.environ.get("GOOGLE_VERTEX_BASE_URL"),
            os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"),
        )
        settings = (*account.items(), *options.items(), *environment)
        return client_once(("gemini", settings), [key], make, _close)


def _close(client: Any) -> None:
    if hasattr(client, "close"):  # the first versions of the SDK have no way to
        client.close()


def _tokens(embedding: Any) -> int:
    return token_count(getattr(embedding.statistics, "token_count", None))  # Vertex AI only


def _http() -> Any:
    """Return ``httpx``, which every version of the SDK takes, or what new ones have instead."""
    name = "httpx" if importlib.util.find_spec("httpx") else "httpx2"
    return importlib.import_module(name)
