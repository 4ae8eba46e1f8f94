"""A watch over what a process does, and every provider there is, installed here or not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embow.embeddings import Provider
from embow.embeddings._lookup import SHARED
from embow.errors import ProviderNotInstalledError

MODULES = {
    "bedrock-text": "embow_bedrock.provider",
    "cohere": "embow_cohere.provider",
    "gemini-text": "embow_gemini.provider",
    "huggingface": "embow_huggingface.provider",
    "imagebind": "embow_imagebind.provider",
    "instructor": "embow_instructor.provider",
    "onnx": "embow_onnx.provider",
    "open-clip": "embow_open_clip.provider",
    "openai": "embow_openai.provider",
    "sentence-transformers": "embow_sentence_transformers.provider",
}
"""Where each provider's class is, for those whose distribution is not installed here."""

_watched: list[tuple[str, tuple[Any, ...]]] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None:
        _watched.append((event, arguments))


sys.addaudithook(_note)  # a hook cannot be taken away again; without a list it notes nothing


class Watch:
    """What happened while a process was watched, as the interpreter itself reports it."""

    def __init__(self, folder: Path, events: list[tuple[str, tuple[Any, ...]]]) -> None:
        """Take the folder with baits, none of which may be touched."""
        self._folder, self._events = str(folder), events

    @property
    def crimes(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Return what must not happen: sockets, processes, writing, and opening a bait."""
        return [event for event in self._events if self._is_crime(*event)]

    def _is_crime(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event.startswith(("socket.", "subprocess.", "os.exec", "os.system", "os.posix_spawn")):
            return event != "socket.gethostname"
        if event == "import":
            return "bait" in str(arguments[0])
        if event == "open":
            path, mode, _ = arguments
            return self._folder in str(path) or bool(set(str(mode or "")) & set("wax+"))
        return event in ("os.mkdir", "os.link", "os.rename", "os.remove")


@contextmanager
def watching(folder: Path) -> Iterator[Watch]:
    """Watch the process inside the block."""
    global _watched
    events: list[tuple[str, tuple[Any, ...]]] = []
    _watched = events
    try:
        yield Watch(folder, events)
    finally:
        _watched = None


def class_of(provider: str) -> type[Provider] | None:
    """Return the class of a provider, ``None`` where its code is not on this machine."""
    try:
        return SHARED.find(provider)
    except ProviderNotInstalledError:
        pass
    try:
        module = importlib.import_module(MODULES[provider])
    except ModuleNotFoundError:
        return None
    found = (v for v in vars(module).values() if isinstance(v, type) and issubclass(v, Provider))
    return next(cls for cls in found if vars(cls).get("provider_id") == provider)


CLASSES: dict[str, type[Any]] = {name: cls for name in MODULES if (cls := class_of(name))}
