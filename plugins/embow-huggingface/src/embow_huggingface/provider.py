"""The embedding function."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from embow.embeddings import Role, TokenCounter, VectorForm, require_texts
from embow.embeddings.local_models import (
    LocalTextModel,
    ModelName,
    TrustRemoteCode,
    transformers_files,
)
from embow_huggingface.catalog import most_tokens, width_of
from embow_huggingface.encoder import Encoder
from embow_huggingface.loading import METADATA, PROVIDER, LoadSettings, loaded_encoder
from embow_huggingface.pooling import Pooling


class TransformersEmbeddingFunction(LocalTextModel):
    """Embed text with an encoder of the transformers library, on this machine.

    The model is loaded by the first call that needs it, once a process.

    Example:
        ```python
        from embow import get_registry

        func = get_registry().get("huggingface").create(name="google-bert/bert-base-uncased")
        func.ndims()  # 768, told without loading the model
        ```
    """

    provider_id: ClassVar[str | None] = PROVIDER

    name: ModelName = "colbert-ir/colbertv2.0"
    pooling: Pooling = Field(
        default="mean",
        description='How token vectors become one: "mean" or "max" over the tokens, the first '
        'one ("cls") or the "last".',
    )
    normalize: bool = Field(default=False, description="Scale each vector to length 1.")
    max_length: int | None = Field(
        default=None, ge=4, description="Tokens read of each text; the model's own limit if None."
    )
    multivector: bool = Field(
        default=False,
        description="Return a vector for each token, for late interaction, instead of one a text.",
    )
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        default="float32", description="Precision the model computes in."
    )
    trust_remote_code: TrustRemoteCode = False

    # -- contract -----------------------------------------------------------------------

    def ndims(self) -> int:
        """Return the length of a vector, without loading the model where it is known."""
        known = width_of(self.name, multivector=self.multivector) or self.known_ndims()
        return known or self._encoder().width

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Embed documents, in order.

        Returns:
            ``(len(texts), ndims())`` float32; with ``multivector`` a list of arrays
            ``(tokens, ndims())`` float32, vectors of length 1.
        """
        return self._embed(texts, "document")

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed documents, as :meth:`generate_embeddings` does, from inputs of any kind."""
        return self._embed(self.sanitize_input(inputs), "document")

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed queries: like documents, but for ColBERT's own treatment with ``multivector``."""
        return self._embed(self.sanitize_input(query), "query")

    def vector_form(self) -> VectorForm:
        """Return what is made of a text: with ``multivector`` a vector for each token."""
        return VectorForm(multi=self.multivector)

    def counter(self) -> TokenCounter | None:
        """Return what counts tokens with the model's own tokenizer, where it can."""
        return self._encoder().counter

    def max_tokens(self) -> int | None:
        """Return how many tokens are read of one text, ``None`` where there is no limit."""
        limits = [n for n in (self.max_length, self._encoder().max_tokens) if n is not None]
        return min(limits, default=None)

    def model_files(self, folder: Path) -> Iterable[Path]:
        """Return what the library reads of a folder, and ColBERT's settings where they count."""
        settings = [folder / METADATA] if (folder / METADATA).is_file() else []
        return [*transformers_files(folder), *(settings if self.multivector else ())]

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors; a local folder counts by its content, not its path."""
        found, own = super().identity(), most_tokens(self.name)
        if self.max_length and own and self.max_length >= own and not self.multivector:
            found["max_length"] = None
        return found

    # -- in here ------------------------------------------------------------------------

    def _embed(self, values: list[Any], role: Role) -> Any:
        texts = require_texts(values)
        if self.multivector:
            return self._embed_tokens(texts, role)
        if not texts:
            return np.empty((0, self.ndims()), dtype=np.float32)
        return self._encoder().embed(
            texts,
            pooling=self.pooling,
            batch_size=self.batch_size,
            max_length=self.max_length,
            normalize=self.normalize,
        )

    def _embed_tokens(self, texts: list[str], role: Role) -> list[NDArray[np.float32]]:
        if not texts:
            return []
        return self._encoder().embed_tokens(
            texts, role, batch_size=self.batch_size, max_length=self.max_length
        )

    def _encoder(self) -> Encoder:
        return loaded_encoder(
            self,
            LoadSettings(
                name=self.name,
                device=self.device,
                dtype=self.dtype,
                revision=self.revision,
                trust_remote_code=self.trust_remote_code,
                cache_folder=self.cache_folder,
                local_files_only=self.local_files_only,
                multivector=self.multivector,
            ),
        )
