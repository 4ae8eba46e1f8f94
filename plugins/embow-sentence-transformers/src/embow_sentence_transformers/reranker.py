"""The ``cross-encoder`` reranker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from embow.embeddings import load_sdk
from embow.embeddings.local_models import (
    BatchSize,
    CacheFolder,
    Device,
    LocalFilesOnly,
    ModelName,
    Revision,
    TrustRemoteCode,
    explain_load_failure,
    load_on_device,
    local_folder,
    model_identity,
    sentence_transformers_files,
)
from embow.rerankers import ModelReranker


@dataclass(frozen=True, slots=True)
class _LoadSettings:
    name: str
    device: str
    revision: str | None
    trust_remote_code: bool
    cache_folder: str | None
    local_files_only: bool
    max_length: int | None


class CrossEncoderReranker(ModelReranker):
    """Order rows with a model that reads query and text together, on this machine.

    The model is loaded by the first call that needs it, once a process.

    Example:
        ```python
        from embow.rerankers import CrossEncoderReranker

        table.search("query").limit(50).rerank(CrossEncoderReranker(column="body"))
        ```
    """

    provider_id: ClassVar[str | None] = "cross-encoder"

    model_name: ModelName = "cross-encoder/ms-marco-TinyBERT-L-6"
    max_length: Annotated[int | None, Field(ge=8)] = Field(
        default=None, description="Tokens read of query and text; the model's own limit if None."
    )
    device: Device = "cpu"
    batch_size: BatchSize = 32
    revision: Revision = None
    trust_remote_code: TrustRemoteCode = False
    cache_folder: CacheFolder = None
    local_files_only: LocalFilesOnly = False

    def scores(self, query: str, texts: list[str]) -> Any:
        """Return what the model says of each text; a model of several labels, the last one's."""
        if not texts:
            return np.empty(0, np.float32)
        pairs = [(query, text) for text in texts]
        found = self._model().predict(pairs, batch_size=self.batch_size, show_progress_bar=False)
        scores = np.asarray(found, np.float32)
        return scores if scores.ndim == 1 else scores[:, -1]

    def identity(self) -> dict[str, Any]:
        """Return what changes the scores; a local folder counts by its content, not its path."""
        known = model_identity(self.model_name, sentence_transformers_files)
        found = super().identity() | {"model_name": known.pop("name"), **known}
        return found | {"revision": None} if "files" in found else found

    def _model(self) -> Any:
        sdk = load_sdk(self, "sentence_transformers")
        settings = _LoadSettings(
            name=self.model_name,
            device=self.device,
            revision=self.revision,
            trust_remote_code=self.trust_remote_code,
            cache_folder=self.cache_folder,
            local_files_only=self.local_files_only,
            max_length=self.max_length,
        )
        content = model_identity(self.model_name, sentence_transformers_files)["name"]
        return load_on_device(self, settings, lambda placed: _load(sdk, placed), name=content)


def _load(sdk: Any, settings: _LoadSettings) -> Any:
    folder = local_folder(settings.name)
    try:
        return sdk.CrossEncoder(
            str(folder or settings.name),
            max_length=settings.max_length,
            device=settings.device,
            revision=settings.revision,
            trust_remote_code=settings.trust_remote_code,
            cache_folder=settings.cache_folder,
            local_files_only=settings.local_files_only,
        )
    except Exception as exc:
        raise explain_load_failure("cross-encoder", settings.name, exc) from exc
