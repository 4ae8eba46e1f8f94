"""Worker processes that share the encoding of long lists."""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings import Role, load_once
from embow.embeddings.local_models import usable_device
from embow_sentence_transformers.runtime import (
    EncodeSettings,
    LoadedModel,
    LoadSettings,
    loaded_model,
)

if TYPE_CHECKING:
    from embow.embeddings.local_models import LocalTextModel


class WorkerPool:
    """A number of worker processes, started by the first call."""

    def __init__(self, model: LoadedModel, devices: list[str]) -> None:
        self._model = model
        self._devices = devices
        self._pool: Any = None
        self._lock = threading.Lock()
        self._process = os.getpid()
        atexit.register(self.close)

    def encode(self, texts: list[str], role: Role, how: EncodeSettings) -> NDArray[np.float32]:
        """Return vectors of shape ``(len(texts), ndims)`` float32, in order."""
        with self._lock:
            if self._pool is None:
                self._pool = self._model.start_pool(self._devices)
            try:
                return self._model.encode(texts, role, how, pool=self._pool)
            except BaseException:
                # Answers of the failed call may still be under way: the next call starts afresh.
                self._stop()
                raise

    def close(self) -> None:
        """Stop the workers. The next call starts new ones."""
        if self._process == os.getpid():  # a forked child leaves its parent's workers alone
            with self._lock:
                self._stop()

    def _stop(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            self._model.stop_pool(pool)


def worker_pool(function: LocalTextModel, settings: LoadSettings, processes: int) -> WorkerPool:
    """Return the process's pool for a model, with ``processes`` workers.

    Raises:
        MissingSdkError: sentence-transformers is not installed.
        ConfigurationError: The model or the device is not there.
    """
    # Starting workers moves the model to the CPU, so they get one that is there already.
    model = loaded_model(function, replace(settings, device="cpu"))
    devices = _devices(settings.device, processes)
    return load_once(("workers", *devices, id(model)), lambda: WorkerPool(model, devices))


def _devices(name: str, processes: int) -> list[str]:
    """Return the device of each worker: CUDA devices in turn, any other one for all."""
    device = usable_device(name)
    if device != "cuda":
        return [device] * processes
    import torch

    return [f"cuda:{n % torch.cuda.device_count()}" for n in range(processes)]
