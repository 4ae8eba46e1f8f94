"""The embedding function."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

import numpy as np
from pydantic import Field, field_validator

from embow.embeddings import (
    External,
    Failure,
    Limits,
    Role,
    TextEmbeddingFunction,
    Usage,
    load_once,
    load_sdk,
    operational,
    record_usage,
)
from embow.embeddings.types import leaves_folder
from embow.errors import ConfigurationError
from embow_onnx import folder as folders
from embow_onnx.batching import plan
from embow_onnx.digest import content_digest
from embow_onnx.graph import Graph, Placement
from embow_onnx.pooling import Floats, Pooling, pool, unit_length
from embow_onnx.tokens import TextTokenizer

PROVIDER = "onnx"

_WINDOW = 1024
"""Texts tokenized and sorted together: enough that batches hold texts of like length."""

_TOKENS_PER_THREAD = 512
"""Tokens of a batch for each thread. More is slower: the activations leave the CPU's cache."""

_DEVICE = re.compile(r"cpu|gpu|auto|cuda(:\d+)?")

_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names under which models keep their prompt for documents, as sentence-transformers looks."""


class OnnxEmbeddings(TextEmbeddingFunction):
    """Embed text with ONNX Runtime: all-MiniLM-L6-v2, which is built in, or an exported model.

    The model is loaded by the first call that needs it, once a process, and works without a
    network. Vectors are those of sentence-transformers for the same model.

    Example:
        ```python
        from embow import get_registry

        func = get_registry().get("onnx").create()
        func.ndims()  # 384
        func.compute_query_embeddings("run a shell command")  # array of shape (1, 384)
        ```
    """

    provider_id: ClassVar[str | None] = PROVIDER

    name: Annotated[str, External(folders.is_folder)] = Field(
        default=folders.BUNDLED,
        description="The built-in model, or a folder with an ONNX file and tokenizer.json.",
    )
    file_name: Annotated[str | None, External(leaves_folder)] = Field(
        default=None,
        description="ONNX file in the folder, such as onnx/model_qint8_avx512.onnx; "
        "onnx/model.onnx or model.onnx if None.",
    )
    normalize: bool = Field(
        default=True,
        description="Scale each vector to length 1. If False, only where the model itself does.",
    )
    pooling: Literal["auto", "mean", "cls", "max", "lasttoken"] = Field(
        default="auto",
        description="How token vectors become one; auto is what the model's folder says.",
    )
    max_seq_length: int | None = Field(
        default=None, ge=1, description="Tokens read of each text; the model's own limit if None."
    )
    prompts: dict[Role, str] | None = Field(
        default=None,
        description='Text to put before each input: {"query": "...", "document": "..."}. '
        "A role that is not named takes the model's own prompt.",
    )
    batch_size: Annotated[int, operational] = Field(
        default=32, ge=1, description="Most texts that go through the model together."
    )
    device: Annotated[str, operational] = Field(
        default="cpu", description='"cpu", "gpu", "cuda", "cuda:1" or "auto".'
    )
    execution_providers: Annotated[tuple[str, ...], operational] = Field(
        default=(), description="ONNX Runtime's execution providers by name; overrules device."
    )
    threads: Annotated[int | None, operational] = Field(
        default=None,
        ge=1,
        description="Threads of one call; OMP_NUM_THREADS or the physical cores if None.",
    )

    @field_validator("device")
    @classmethod
    def _check_device(cls, device: str) -> str:
        if not _DEVICE.fullmatch(device):
            raise ValueError(
                f"no device is called {device!r}; there are cpu, gpu, cuda, cuda:N and auto"
            )
        return device

    # -- contract -----------------------------------------------------------------------

    def ndims(self) -> int:
        """Return the length of the vectors, without loading the model where its folder says it."""
        folder = self._folder()
        if folder.ndims is not None and not folder.other_modules:
            return folder.ndims
        key = (PROVIDER, "ndims", folder.graph, self.pooling)
        return load_once(key, lambda: int(self._run(self._tokenizer().ids([""])).shape[1]))

    def generate_embeddings(self, texts: list[str]) -> Floats:
        """Embed texts as they are, with no prompt: shape ``(n, ndims())``, float32."""
        vectors = np.empty((len(texts), self.ndims()), dtype=np.float32)
        for start in range(0, len(texts), _WINDOW):
            window = slice(start, start + _WINDOW)
            vectors[window] = self._embed_window(texts[window])
        return vectors

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed documents, each after the document prompt where the model has one."""
        return self._embed_role(inputs, "document")

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed queries, each after the query prompt where the model has one."""
        return self._embed_role(query, "query")

    def limits(self) -> Limits:
        """Return the model's limit of tokens, less those of its longest prompt."""
        prompts = [text for role in get_args(Role) if (text := self._prompt(role))]
        taken = max(map(self._tokenizer().length, prompts)) if prompts else 0
        return Limits(max_items=_WINDOW, max_tokens_per_item=self._max_seq_length() - taken)

    def count_tokens(self, inputs: Sequence[Any]) -> list[int]:
        """Return the tokens of each text exactly, with the model's own, before any cut."""
        return self._tokenizer().count(list(inputs))

    def truncate(self, value: Any, max_tokens: int) -> Any:
        """Cut a text at the end of its last token that fits."""
        return self._tokenizer().cut(value, max_tokens) if isinstance(value, str) else value

    def classify(self, error: BaseException) -> Failure:
        """Tell errors apart; those of ONNX Runtime share no class but their module."""
        own = type(error).__module__.startswith("onnxruntime")
        return super().classify(RuntimeError(str(error)) if own else error)

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors; a folder is known by its content, not its path."""
        folder = self._folder()
        bundled = folders.is_bundled(self.name) and self.file_name is None
        prompts = {role: self._prompt(role) for role in get_args(Role)}
        return {
            "provider": self.name_of_provider(),
            "model": folders.BUNDLED if bundled else content_digest(folder),
            **({"revision": folders.bundled_revision()} if bundled else {}),
            "pooling": self._pooling(),
            "normalize": self.normalize or folder.normalize,
            "max_seq_length": self._max_seq_length(),
            "prompts": {role: text for role, text in prompts.items() if text},
        }

    # -- settings, as they come out -----------------------------------------------------

    def _folder(self) -> folders.ModelFolder:
        return folders.open_folder(self.name, self.file_name)

    def _pooling(self) -> Pooling:
        return self._folder().pooling if self.pooling == "auto" else self.pooling

    def _max_seq_length(self) -> int:
        """Return the tokens read of each text.

        Raises:
            ConfigurationError: More is asked for than the model has positions.
        """
        folder = self._folder()
        wanted = self.max_seq_length or folder.max_seq_length
        if folder.positions is not None and wanted > folder.positions:
            raise ConfigurationError(
                f"max_seq_length={wanted} is more than the {folder.positions} tokens that "
                f"{self.name!r} has positions for."
            )
        return wanted

    def _prompt(self, role: Role) -> str:
        """Return the text put before inputs of a role.

        Raises:
            ConfigurationError: The model leaves its prompt out of pooling, which is not served.
        """
        folder = self._folder()
        names = ("query",) if role == "query" else _DOCUMENT_PROMPTS
        known = [folder.prompts[name] for name in names if name in folder.prompts]
        default = folder.prompts.get(folder.default_prompt or "", "")
        prompt = (self.prompts or {}).get(role, known[0] if known else default)
        if prompt and not folder.prompt_pooled:
            raise ConfigurationError(
                f"The model {self.name!r} leaves its prompt out of pooling, which this provider "
                "does not do. The provider 'instructor' or 'sentence-transformers' runs it."
            )
        return prompt

    # -- work ---------------------------------------------------------------------------

    def _embed_role(self, inputs: Any, role: Role) -> Any:
        prompt = self._prompt(role)
        texts = self.sanitize_input(inputs)
        return self._embed_texts([prompt + t if isinstance(t, str) else t for t in texts])

    def _embed_window(self, texts: list[str]) -> Floats:
        """Embed texts that are tokenized and sorted together."""
        ids = self._tokenizer().ids(texts)
        lengths = [len(values) for values in ids]
        budget = _TOKENS_PER_THREAD * max(2, self._graph().threads)
        vectors = np.empty((len(texts), self.ndims()), dtype=np.float32)
        for batch in plan(lengths, self.batch_size, budget):
            vectors[batch] = self._run([ids[position] for position in batch])
        record_usage(Usage(tokens=sum(lengths)))
        return vectors

    def _run(self, ids: list[list[int]]) -> Floats:
        """Return the vectors of one batch of token ids."""
        graph, folder = self._graph(), self._folder()
        pooled = self._pooled_by_graph(graph)
        pad_id = self._tokenizer().pad_id if folder.pad_id is None else folder.pad_id
        result, mask = graph.run(ids, pad_id, graph.output(pooled=pooled))
        vectors = result if pooled else pool(result, mask, self._pooling())
        return unit_length(vectors) if self.normalize or folder.normalize else vectors

    def _pooled_by_graph(self, graph: Graph) -> bool:
        """Return whether to take vectors the model pooled itself, with all steps that follow."""
        return self.pooling == "auto" and (
            bool(self._folder().other_modules) or not graph.has_token_vectors()
        )

    # -- what is loaded -----------------------------------------------------------------

    def _graph(self) -> Graph:
        sdk = load_sdk(self, "onnxruntime")
        file = self._folder().graph
        placement = Placement(self.device, self.execution_providers, self.threads or 0)
        key = (PROVIDER, "graph", file, placement)
        return load_once(key, lambda: Graph(sdk, file, placement))

    def _tokenizer(self) -> TextTokenizer:
        sdk = load_sdk(self, "tokenizers")
        folder, limit = self._folder(), self._max_seq_length()
        key = (PROVIDER, "tokenizer", folder.tokenizer, limit, folder.lowercase)
        return load_once(key, lambda: TextTokenizer(sdk, folder.tokenizer, limit, folder.lowercase))
