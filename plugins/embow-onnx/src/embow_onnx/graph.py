"""A model loaded into ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embow.errors import ConfigurationError
from embow_onnx.cpus import usable_cores
from embow_onnx.pooling import Floats

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_TOKEN_OUTPUTS: tuple[str, ...] = ("token_embeddings", "last_hidden_state")
_TEXT_OUTPUTS: tuple[str, ...] = ("sentence_embedding",)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs.

    Attributes:
        device: ``"cpu"``, ``"gpu"``, ``"cuda"``, ``"cuda:N"`` or ``"auto"``.
        execution_providers: ONNX Runtime's names, in order; overrules ``device``.
        threads: Threads for one call; 0 lets ``usable_cores`` decide.
    """

    device: str
    execution_providers: tuple[str, ...]
    threads: int


class Graph:
    """An inference session and how to call it. Safe to share between threads."""

    def __init__(self, sdk: ModuleType, file: Path, placement: Placement) -> None:
        """Load the model.

        Raises:
            ConfigurationError: The file cannot be loaded, needs inputs a text does not have, or
                the device is not there.
        """
        chosen = _execution_providers(sdk, placement)
        self.threads = placement.threads or usable_cores()
        self._session = _open_session(sdk, file, chosen, self.threads)
        self._file = file
        self._inputs = frozenset(value.name for value in self._session.get_inputs())
        unknown = sorted(self._inputs - _INPUTS)
        if unknown:
            raise ConfigurationError(
                f"The model {str(file)!r} wants the inputs {', '.join(unknown)}; a text encoder "
                f"takes {', '.join(sorted(_INPUTS))}. Export it for feature extraction."
            )
        self._outputs: dict[str, int] = {
            v.name: len(v.shape or ()) for v in self._session.get_outputs()
        }

    def output(self, *, pooled: bool) -> str:
        """Return the name of the output with one vector a text, or else one a token.

        Raises:
            ConfigurationError: The model has no such output.
        """
        usual, rank = (_TEXT_OUTPUTS, 2) if pooled else (_TOKEN_OUTPUTS, 3)
        fitting = [name for name, dims in self._outputs.items() if dims == rank]
        for name in (*usual, *fitting):
            if name in fitting:
                return name
        raise ConfigurationError(
            f"The model {str(self._file)!r} has no output of one vector a "
            f"{'text' if pooled else 'token'}; its outputs are {', '.join(self._outputs)}."
        )

    def has_token_vectors(self) -> bool:
        """Return whether the model gives one vector a token, to be pooled afterwards."""
        return 3 in self._outputs.values()

    def run(
        self, ids: Sequence[Sequence[int]], pad_id: int, output: str
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Run texts of token ids through the model.

        Returns:
            The named output as float32, and the mask that says which tokens are no padding.
        """
        width = max(map(len, ids))
        tokens = np.full((len(ids), width), pad_id, dtype=np.int64)
        mask = np.zeros((len(ids), width), dtype=np.int64)
        for row, values in enumerate(ids):
            tokens[row, : len(values)] = values
            mask[row, : len(values)] = 1
        feeds = {"input_ids": tokens, "attention_mask": mask}
        if "token_type_ids" in self._inputs:
            feeds["token_type_ids"] = np.zeros_like(tokens)
        feeds = {name: value for name, value in feeds.items() if name in self._inputs}
        (result,) = self._session.run([output], feeds)
        return np.asarray(result, dtype=np.float32), mask


def _open_session(sdk: ModuleType, file: Path, chosen: list[Any], threads: int) -> Any:
    options = sdk.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Threads that wait in a busy loop save .6 ms a query and cost every other thread of the
    # process a core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = sdk.InferenceSession(str(file), options, providers=chosen)
    except Exception as exc:  # the runtime's exceptions share no other base
        cause = (str(exc).strip() or type(exc).__name__).splitlines()[0]
        raise ConfigurationError(
            f"ONNX Runtime {sdk.__version__} cannot load {str(file)!r}: {cause}"
        ) from exc
    first = chosen[0][0] if isinstance(chosen[0], tuple) else chosen[0]
    if first not in session.get_providers():  # the runtime falls back without a word
        raise ConfigurationError(
            f"ONNX Runtime could not start {first}; its libraries do not load on this machine. "
            "Install what it needs, or use device='cpu'."
        )
    return session


def _execution_providers(sdk: ModuleType, placement: Placement) -> list[Any]:
    """Return what to hand to the session as ``providers``.

    Raises:
        ConfigurationError: One asked for is not in this build of ONNX Runtime.
    """
    present = sdk.get_available_providers()
    if placement.execution_providers:
        missing = [name for name in placement.execution_providers if name not in present]
        if missing:
            raise ConfigurationError(
                f"execution_providers names {', '.join(missing)}; this build of ONNX Runtime "
                f"has {', '.join(present)}."
            )
        return list(placement.execution_providers)
    kind, _, index = placement.device.partition(":")
    if kind == "cpu" or (kind == "auto" and _CUDA not in present):
        return [_CPU]
    if _CUDA not in present:
        raise ConfigurationError(
            f"device={placement.device!r} needs ONNX Runtime's {_CUDA}, and this build has "
            f"{', '.join(present)}. Replace the package: pip uninstall onnxruntime, then "
            "pip install onnxruntime-gpu; or use device='cpu'."
        )
    # TF32 would round every product to 10 bits.
    return [(_CUDA, {"device_id": int(index or 0), "use_tf32": 0}), _CPU]
