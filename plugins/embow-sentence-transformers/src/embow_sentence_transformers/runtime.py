"""A loaded model. One for each model, device and backend of a process."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings import Role, TokenCounter, load_sdk
from embow.embeddings.local_models import explain_load_failure, local_folder
from embow.errors import ConfigurationError
from embow_sentence_transformers.catalog import hub_name

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from embow.embeddings.local_models import LocalTextModel

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

    def __init__(self, model: SentenceTransformer, max_seq_length: int | None) -> None:
        self._model = model
        self._max_tokens = _limit(model, max_seq_length)
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
        if self._max_tokens is None or self.counter is None:
            return self._max_tokens
        prompts = [self._prompt(role, how) for role, how in ways.items()]
        taken = self.counter.count(prompts, special=False)
        return max(1, self._max_tokens - max(taken))

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


def loaded_model(function: LocalTextModel, settings: LoadSettings) -> LoadedModel:
    """Return the model, loaded once for a process whatever the number of threads.

    Raises:
        MissingSdkError: sentence-transformers is not installed.
        ConfigurationError: The model or the device is not there.
    """
    sdk = load_sdk(function, "sentence_transformers")
    return function.load_model(settings, lambda placed: _load(sdk, placed))


def _load(sdk: Any, settings: LoadSettings) -> LoadedModel:
    try:
        model: SentenceTransformer = sdk.SentenceTransformer(
            str(local_folder(settings.name) or settings.name),
            device=settings.device,
            backend=settings.backend,
            revision=settings.revision,
            trust_remote_code=settings.trust_remote_code,
            cache_folder=settings.cache_folder,
            local_files_only=settings.local_files_only,
            model_kwargs=json.loads(settings.model_kwargs),
        )
    except Exception as exc:
        if settings.backend != "torch":
            raise ConfigurationError(_backend_hint(settings.backend, exc)) from exc
        raise explain_load_failure(PROVIDER, hub_name(settings.name), exc) from exc
    return LoadedModel(model, settings.max_seq_length)


def _limit(model: SentenceTransformer, wanted: int | None) -> int | None:
    """Make a model read so many tokens of a text, and return how many it reads.

    Models of static word vectors read all there are, and leave it to their tokenizer to stop.
    """
    own = model.max_seq_length
    if own is not None and math.isinf(own):
        if wanted is not None:
            model.tokenizer.enable_truncation(wanted)
        return wanted or (model.tokenizer.truncation or {}).get("max_length")
    if wanted is not None:
        model.max_seq_length = wanted
    return int(wanted or own or 0) or None


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
