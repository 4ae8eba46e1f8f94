"""The ``colbert`` reranker."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from embow.embeddings.local_models import (
    BatchSize,
    CacheFolder,
    Device,
    LocalFilesOnly,
    ModelName,
    Revision,
    TrustRemoteCode,
)
from embow.rerankers import ModelReranker
from embow_huggingface.provider import TransformersEmbeddingFunction
from embow_huggingface.scoring import maxsim


class ColbertReranker(ModelReranker):
    """Order rows by late interaction: how well each word of the query is matched in a text.

    The model is loaded by the first call that needs it, once a process, and shared with a
    ``huggingface`` provider of the same settings.

    Example:
        ```python
        from embow.rerankers import ColbertReranker

        table.search("query").limit(50).rerank(ColbertReranker(column="body"))
        ```
    """

    provider_id: ClassVar[str | None] = "colbert"

    model_name: ModelName = "colbert-ir/colbertv2.0"
    max_length: Annotated[int | None, Field(ge=4)] = Field(
        default=None, description="Tokens read of each text; the model's own limit if None."
    )
    dtype: Literal["float32", "float16", "bfloat16"] = Field(
        default="float32", description="Precision the model computes in."
    )
    device: Device = "cpu"
    batch_size: BatchSize = 32
    revision: Revision = None
    trust_remote_code: TrustRemoteCode = False
    cache_folder: CacheFolder = None
    local_files_only: LocalFilesOnly = False

    def scores(self, query: str, texts: list[str]) -> Any:
        """Return the sum over the query's tokens of the best match in each text."""
        function = self._function()
        (asked,) = function.compute_query_embeddings(query)
        return maxsim(asked, function.compute_source_embeddings(texts))

    def identity(self) -> dict[str, Any]:
        """Return what changes the scores: what changes the vectors they are made of."""
        return self._function().identity() | {"provider": self.name_of_provider()}

    def _function(self) -> TransformersEmbeddingFunction:
        return TransformersEmbeddingFunction(
            name=self.model_name,
            multivector=True,
            max_length=self.max_length,
            dtype=self.dtype,
            device=self.device,
            batch_size=self.batch_size,
            revision=self.revision,
            trust_remote_code=self.trust_remote_code,
            cache_folder=self.cache_folder,
            local_files_only=self.local_files_only,
        )
