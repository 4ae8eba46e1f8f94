"""A loaded model. One for each model, device and backend of a process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings import (
    Role,
    TokenCounter,
    explain_load_failure,
    load_once,
    load_sdk,
    local_folder,
    model_reference,
    usable_device,
)
from embow.errors import ConfigurationError
from embow_sentence_transformers.catalog import hub_name

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from embow.embeddings import EmbeddingFunction

PROVIDER = "sentence-transformers"


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Everything that makes one loaded model differ from another."""

    name: str
    device: str
    backend: str
    revision: str | None
    trust_remote_code: bool
    cache_folder: str | None
    local_files_only: bool
    max_seq_length: int | None
    model_kwargs: str

    def key(self, device: str) -> tuple[Any, ...]:
        """Return what the model is shared under: its content, not where it lies."""
        others = (self.backend, self.revision, self.trust_remote_code, self.cache_folder)
        return (
            PROVIDER,
            model_reference(self.name),
            device,
            *others,
            self.local_files_only,
            self.max_seq_length,
            self.model_kwargs,
        )


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """How one call encodes. ``prompt`` is put before each text; ``None`` takes the model's."""

    batch_size: int
    prompt: str | None
    prompt_name: str | None
    normalize: bool
    show_progress_bar: bool


class LoadedModel:
    """A SentenceTransformer with the facts that only the loaded model tells.

    Attributes:
        ndims: Length of the vectors.
        counter: Counts tokens, where the model's tokenizer can be copied.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model
        self.counter = TokenCounter.of(getattr(model, "tokenizer", None))
        # The first call sets up the tokenizer's padding; later ones may then run side by side.
        self.ndims: int = int(np.asarray(model.encode(["a"], show_progress_bar=False)).shape[1])

    def encode(
        self, texts: list[str], role: Role, how: EncodeSettings, pool: Any = None
    ) -> NDArray[np.float32]:
        """Return vectors of shape ``(len(texts), ndims)`` float32, in order."""
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        vectors = encode(
            texts,
            prompt=how.prompt,
            prompt_name=how.prompt_name,
            batch_size=how.batch_size,
            normalize_embeddings=how.normalize,
            show_progress_bar=how.show_progress_bar,
            convert_to_numpy=True,
            pool=pool,
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)

    def room_for_text(self, ways: dict[Role, EncodeSettings]) -> int | None:
        """Return the tokens a text may have so that it fits behind the longest prompt."""
        length = self._model.max_seq_length
        if not length or self.counter is None:
            return int(length) if length else None
        prompts = [self._prompt(role, how) for role, how in ways.items()]
        taken = self.counter.count(prompts, special=False)
        return max(1, int(length) - max(taken))

    def _prompt(self, role: Role, how: EncodeSettings) -> str:
        """Return the text put before each input of a role, found as the library finds it."""
        if how.prompt is not None:
            return how.prompt
        usual = ("query",) if role == "query" else ("document", "passage", "corpus")
        for name in (how.prompt_name,) if how.prompt_name else usual:
            if name in self._model.prompts:
                return self._model.prompts[name] or ""
        return self._model.prompts.get(self._model.default_prompt_name or "") or ""

    def start_pool(self, devices: list[str]) -> Any:
        """Start one worker process for each device."""
        return self._model.start_multi_process_pool(devices)

    def stop_pool(self, pool: Any) -> None:
        """Stop the workers of a pool."""
        self._model.stop_multi_process_pool(pool)


def loaded_model(function: EmbeddingFunction, settings: LoadSettings) -> LoadedModel:
    """Return the model, loaded once for a process whatever the number of threads.

    Raises:
        MissingSdkError: sentence-transformers is not installed.
        ConfigurationError: The model or the device is not there.
    """
    sdk = load_sdk(function, "sentence_transformers")
    device = usable_device(settings.device)
    return load_once(settings.key(device), lambda: LoadedModel(_load(sdk, settings, device)))


def _load(sdk: Any, settings: LoadSettings, device: str) -> SentenceTransformer:
    folder = local_folder(settings.name)
    try:
        model: SentenceTransformer = sdk.SentenceTransformer(
            str(folder) if folder else settings.name,
            device=device,
            backend=settings.backend,
            revision=settings.revision,
            trust_remote_code=settings.trust_remote_code,
            cache_folder=settings.cache_folder,
            local_files_only=settings.local_files_only,
            model_kwargs=json.loads(settings.model_kwargs),
        )
    except Exception as exc:
        raise _explain(settings, exc) from exc
    if settings.max_seq_length is not None:
        model.max_seq_length = settings.max_seq_length
    return model


def _explain(settings: LoadSettings, error: Exception) -> ConfigurationError:
    """Return an error that says what is wrong, where the library's own does not."""
    if settings.backend != "torch":
        return ConfigurationError(_backend_hint(settings.backend, error))
    if "trust_remote_code" in str(error):
        return ConfigurationError(
            f"Model {settings.name!r} brings its own Python code. Read that code, and if you trust "
            "it, pass trust_remote_code=True; better with a revision, so that it cannot change."
        )
    return explain_load_failure(PROVIDER, hub_name(settings.name), error)


def _backend_hint(backend: str, error: Exception) -> str:
    # The library reports every failure of this kind as "not installed", also where the installed
    # optimum does not go with the installed transformers. Its first cause tells which it is.
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    extra = f'pip install "sentence-transformers[{backend}]"'
    return (
        f"backend={backend!r} could not be used ({type(cause).__name__}: {cause}). It needs the "
        f"optimum packages, in versions made for the transformers you have: {extra} installs a "
        "set that fits, which may be older than what you have now. The embow-onnx provider runs "
        "ONNX models without them; backend='torch' needs nothing more."
    )
