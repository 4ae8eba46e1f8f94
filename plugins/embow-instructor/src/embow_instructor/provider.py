"""The embedding function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from embow.embeddings import TokenCounter, operational, require_texts
from embow.embeddings.local_models import (
    LocalTextModel,
    ModelName,
    local_folder,
    sentence_transformers_files,
)
from embow_instructor.runtime import (
    MAX_TOKENS,
    PROVIDER,
    LoadedModel,
    LoadSettings,
    loaded_model,
    split_instruction,
)

_NDIMS = {f"hkunlp/instructor-{size}": 768 for size in ("base", "large", "xl")}


class InstructorEmbeddingFunction(LocalTextModel):
    """Embed text with an Instructor model, told by an instruction what the vectors are for.

    The default instructions are misspelt as they are in LanceDB's documentation: another
    spelling gives other vectors. The model is loaded by the first call that needs it, once a
    process.

    Example:
        ```python
        from embow import get_registry

        func = get_registry().get("instructor").create(
            source_instruction="represent the science paragraph for retrieval",
            query_instruction="represent the science question for retrieving paragraphs",
        )
        func.ndims()  # 768, told without loading the model
        ```
    """

    provider_id: ClassVar[str | None] = PROVIDER

    name: ModelName = "hkunlp/instructor-base"
    show_progress_bar: Annotated[bool, operational] = Field(
        default=True, description="Show the library's own bar for each call."
    )
    normalize_embeddings: bool = Field(default=True, description="Scale each vector to length 1.")
    quantize: bool = Field(
        default=False,
        description="Compute linear layers in 8 bits: faster on a CPU, and other vectors.",
    )
    source_instruction: str = Field(
        default="represent the docuement for retreival",
        description="Instruction for documents. Part of what the vectors are.",
    )
    query_instruction: str = Field(
        default="represent the document for retreiving the most similar documents",
        description="Instruction for queries. Part of what the vectors are.",
    )

    # -- contract -----------------------------------------------------------------------

    def ndims(self) -> int:
        """Return the length of the vectors; the published models' without loading them."""
        known = None if local_folder(self.name) else _NDIMS.get(self.name)
        return known or self.known_ndims() or self._model().ndims

    def generate_embeddings(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed documents. Returns ``(len(texts), ndims())`` float32, in order."""
        return self._embed(texts, self.source_instruction)

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed queries, with the instruction for queries."""
        return self._embed(self.sanitize_input(query), self.query_instruction)

    def counter(self) -> TokenCounter:
        """Return what counts tokens with the model's own tokenizer."""
        return self._model().counter

    def max_tokens(self) -> int:
        """Return the 512 tokens read of instruction and text together."""
        return MAX_TOKENS

    def model_files(self, folder: Path) -> Iterable[Path]:
        """Return what sentence-transformers reads of a folder."""
        return sentence_transformers_files(folder)

    def count_tokens(self, inputs: Sequence[Any]) -> list[int]:
        """Count the tokens of each document as the model sees it: with its instruction."""
        before = self._before_text()
        texts = [before + text.strip() for text in require_texts(list(inputs))]
        return self.counter().count(texts)

    def truncate(self, value: Any, max_tokens: int) -> Any:
        """Cut a document where the model would stop reading it behind its instruction."""
        before = self._before_text()
        cut = self.counter().cut(before + value.strip(), max_tokens)
        return cut[len(before) :]

    # -- in here ------------------------------------------------------------------------

    def _before_text(self) -> str:
        return "".join(split_instruction(self.source_instruction))

    def _embed(self, values: list[Any], instruction: str) -> NDArray[np.float32]:
        texts = require_texts(values)
        if not texts:
            return np.empty((0, self.ndims()), dtype=np.float32)
        return self._model().encode(
            instruction,
            texts,
            batch_size=self.batch_size,
            show_progress_bar=self.show_progress_bar,
            normalize_embeddings=self.normalize_embeddings,
            convert_to_numpy=True,
        )

    def _model(self) -> LoadedModel:
        return loaded_model(
            self,
            LoadSettings(
                name=self.name,
                device=self.device,
                quantize=self.quantize,
                revision=self.revision,
                cache_folder=self.cache_folder,
                local_files_only=self.local_files_only,
            ),
        )
