"""The embedding function."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from embow.embeddings import External, Role, TokenCounter, operational, require_texts
from embow.embeddings.local_models import (
    LocalTextModel,
    ModelName,
    TrustRemoteCode,
    all_files,
    local_folder,
    sentence_transformers_files,
)
from embow.errors import ConfigurationError
from embow_sentence_transformers.catalog import facts_of, hub_name, own_limit
from embow_sentence_transformers.runtime import (
    PROVIDER,
    EncodeSettings,
    LoadedModel,
    LoadSettings,
    loaded_model,
)
from embow_sentence_transformers.workers import worker_pool


def _says_more_than_dtype(value: Any) -> bool:
    """Tell whether arguments of a model may name code, addresses or files."""
    return not isinstance(value, dict) or not value.keys() <= {"dtype", "torch_dtype"}


class SentenceTransformerEmbeddings(LocalTextModel):
    """Embed text with a model of the sentence-transformers library, on this machine.

    The model is loaded by the first call that needs it, once a process.

    Example:
        ```python
        from embow import get_registry

        func = get_registry().get("sentence-transformers").create(name="BAAI/bge-small-en-v1.5")
        func.ndims()  # 384, told without loading the model
        ```
    """

    provider_id: ClassVar[str | None] = PROVIDER

    name: ModelName = "all-MiniLM-L6-v2"
    normalize: bool = Field(default=True, description="Scale each vector to length 1.")
    prompts: dict[str, str] | None = Field(
        default=None,
        description='Text to put before each input: {"query": "...", "document": "..."}. '
        "A role that is not named takes the model's own prompt.",
    )
    query_prompt_name: str | None = Field(
        default=None, description="Name of the prompt for queries, where it is not query."
    )
    document_prompt_name: str | None = Field(
        default=None, description="Name of the prompt for documents, where it is not document."
    )
    truncate_dim: int | None = Field(
        default=None, ge=1, description="Keep this many leading dimensions."
    )
    max_seq_length: int | None = Field(
        default=None, ge=1, description="Tokens read of each text; the model's own limit if None."
    )
    backend: Literal["torch", "onnx", "openvino"] = Field(
        default="torch", description="What runs the model."
    )
    model_kwargs: Annotated[dict[str, Any], External(_says_more_than_dtype)] = Field(
        default_factory=dict,
        description='Handed to the model when it is loaded, such as {"dtype": "float16"}.',
    )
    trust_remote_code: TrustRemoteCode = False
    show_progress_bar: Annotated[bool, operational] = Field(
        default=False, description="Show the library's own bar for each call."
    )
    processes: Annotated[int, operational] = Field(
        default=1, ge=1, description="Worker processes that share long lists; 1 uses none."
    )

    @model_validator(mode="after")
    def _check_prompts(self) -> Self:
        names = {self._prompt_name("query"), self._prompt_name("document")}
        stray = sorted(set(self.prompts or {}) - names)
        if stray:
            raise ValueError(
                f"prompts has {', '.join(map(repr, stray))}, which no role uses. Name the prompts "
                "'query' and 'document', or set query_prompt_name and document_prompt_name"
            )
        return self

    # -- contract -----------------------------------------------------------------------

    def ndims(self) -> int:
        """Return the length of the vectors, without loading the model where it is known.

        Raises:
            ConfigurationError: ``truncate_dim`` is more than the model has.
        """
        whole = facts_of(self.name).ndims
        if whole is None:
            return self.known_ndims() or self._kept_of(self._model().ndims)
        return self._kept_of(whole)

    def generate_embeddings(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed documents. Returns ``(len(texts), ndims())`` float32, in order."""
        return self._embed(texts, "document")

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed queries, with the prompt for queries where there is one."""
        return self._embed(self.sanitize_input(query), "query")

    def counter(self) -> TokenCounter | None:
        """Return what counts tokens with the model's own tokenizer, where it can."""
        return self._model().counter

    def max_tokens(self) -> int | None:
        """Return what the model reads of one text, less the longest prompt before it."""
        known = facts_of(self.name).max_tokens
        if known is not None and not self.prompts:
            return self.max_seq_length or known
        return self._model().room_for_text(
            {"query": self._how("query"), "document": self._how("document")}
        )

    def model_files(self, folder: Path) -> Iterable[Path]:
        """Return what the library reads of a folder; all of it where settings choose the files."""
        usual = self.backend == "torch" and not _says_more_than_dtype(self.model_kwargs)
        return sentence_transformers_files(folder) if usual else all_files(folder)

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors; a local folder counts by its content, not its path."""
        found = super().identity()
        if self.max_seq_length is not None and self.max_seq_length == own_limit(self.name):
            found["max_seq_length"] = None
        return found if local_folder(self.name) else found | {"name": hub_name(self.name)}

    # -- in here ------------------------------------------------------------------------

    def _embed(self, values: list[Any], role: Role) -> NDArray[np.float32]:
        texts = require_texts(values)
        if not texts:
            return np.empty((0, self.ndims()), dtype=np.float32)
        vectors = self._encode(texts, role)
        if self.truncate_dim is None:
            return vectors
        return _shorten(vectors, self._kept_of(vectors.shape[1]), self.normalize)

    def _kept_of(self, whole: int) -> int:
        """Return how many of the model's dimensions are kept."""
        if self.truncate_dim is None:
            return whole
        if self.truncate_dim > whole:
            raise ConfigurationError(
                f"truncate_dim={self.truncate_dim} is more than the {whole} dimensions of "
                f"{self.name!r}."
            )
        return self.truncate_dim

    def _encode(self, texts: list[str], role: Role) -> NDArray[np.float32]:
        how = self._how(role)
        if self.processes > 1 and len(texts) >= self.processes * self.batch_size:
            return worker_pool(self, self._settings(), self.processes).encode(texts, role, how)
        return self._model().encode(texts, role, how)

    def _model(self) -> LoadedModel:
        return loaded_model(self, self._settings())

    def _settings(self) -> LoadSettings:
        return LoadSettings(
            name=self.name,
            device=self.device,
            backend=self.backend,
            revision=self.revision,
            trust_remote_code=self.trust_remote_code,
            cache_folder=self.cache_folder,
            local_files_only=self.local_files_only,
            max_seq_length=self.max_seq_length,
            model_kwargs=json.dumps(self.model_kwargs, sort_keys=True),
        )

    def _how(self, role: Role) -> EncodeSettings:
        prompt = (self.prompts or {}).get(self._prompt_name(role))
        named = self.query_prompt_name if role == "query" else self.document_prompt_name
        return EncodeSettings(
            batch_size=self.batch_size,
            prompt=prompt,
            prompt_name=named if prompt is None else None,
            normalize=self.normalize,
            show_progress_bar=self.show_progress_bar,
        )

    def _prompt_name(self, role: Role) -> str:
        named = self.query_prompt_name if role == "query" else self.document_prompt_name
        return named or role


def _shorten(vectors: NDArray[np.float32], ndims: int, normalize: bool) -> NDArray[np.float32]:
    """Return the leading dimensions, scaled to length 1 again where asked for."""
    kept = np.ascontiguousarray(vectors[:, :ndims])
    if normalize:
        lengths = np.linalg.norm(kept, axis=1, keepdims=True)
        np.divide(kept, lengths, out=kept, where=lengths > 0)
    return kept
