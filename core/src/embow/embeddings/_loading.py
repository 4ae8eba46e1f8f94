"""Loading of SDKs and models: when first needed, once a process."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Hashable
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from embow._processes import in_child
from embow.errors import MissingSdkError, PluginBrokenError

if TYPE_CHECKING:
    from embow.embeddings._provider import Provider

T = TypeVar("T")


class _Slot:
    """One loaded object, or the place where one is being loaded."""

    __slots__ = ("loaded", "lock", "value")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.loaded = False
        self.value: Any = None


_slots: dict[Hashable, _Slot] = {}
_slots_lock = threading.Lock()
_inherited: list[Any] = []


@in_child
def _start_anew() -> None:
    """Let a forked child load for itself.

    What its parent loaded waits for threads that no fork copies, or for a lock one of them held.
    It is kept, because letting go of it would close what the parent still uses.
    """
    global _slots, _slots_lock
    _inherited.append(_slots)
    _slots, _slots_lock = {}, threading.Lock()


def load_once(key: Hashable, loader: Callable[[], T]) -> T:
    """Return what ``loader`` gives, calling it once a process for each key.

    Threads that ask for the same key at the same time wait for the first one; other keys load
    meanwhile. A loader that raises leaves nothing behind: the next caller tries again. A forked
    child loads its own.

    Args:
        key: Everything the loaded object depends on, such as ``("onnx", path, device)``.
        loader: Called without arguments.
    """
    with _slots_lock:
        slot = _slots.setdefault(key, _Slot())
    with slot.lock:
        if not slot.loaded:
            slot.value = loader()
            slot.loaded = True
        return cast("T", slot.value)


def unload(key: Hashable | None = None) -> int:
    """Drop the reference to one loaded object, or to all, so that its memory can be freed.

    Returns:
        How many objects were dropped. One still in use lives until its user lets go.
    """
    with _slots_lock:
        if key is None:
            dropped = [slot for slot in _slots.values() if slot.loaded]
            for held in [k for k, slot in _slots.items() if slot.loaded]:
                del _slots[held]
        else:
            slot = _slots.get(key)
            dropped = [_slots.pop(key)] if slot is not None and slot.loaded else []
    return len(dropped)


def load_sdk(function: Provider, module: str) -> ModuleType:
    """Import a vendor's package inside the method that first needs it.

    Raises:
        MissingSdkError: It is not installed; the message says what to install.
        PluginBrokenError: It is installed and fails to import.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        raise _absent_sdk(function, module, exc) from exc
    except Exception as exc:
        raise _broken_sdk(function, module, exc) from exc


def _absent_sdk(
    function: Provider, module: str, cause: ModuleNotFoundError
) -> MissingSdkError | PluginBrokenError:
    """Tell a package that is missing from one whose own dependency is missing."""
    from embow.plugins import _discovery as discovery
    from embow.plugins import _hints as hints

    provider = function.name_of_provider()
    absent = cause.name or ""
    is_itself = f"{module}.".startswith(f"{absent}.")
    sdk = discovery.sdk_of(provider, module if is_itself else absent)
    if not is_itself and sdk is None:
        return _broken_sdk(function, module, cause)
    hint = hints.sdk_hint(sdk) if sdk else f"Install the package that holds {absent!r}."
    return MissingSdkError(
        f"Provider {provider!r} needs the package {absent!r}, which is not installed. {hint}"
    )


def _broken_sdk(function: Provider, module: str, cause: Exception) -> PluginBrokenError:
    return PluginBrokenError(
        f"Provider {function.name_of_provider()!r} needs the package {module!r}, which is "
        f"installed but fails to import: {type(cause).__name__}: {cause}"
    )
