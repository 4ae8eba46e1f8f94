"""Tables in Lance's format, on disk and on object stores, as an embow engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_lance.engine import LanceEngine as LanceEngine

__all__ = ["LanceEngine"]


def __getattr__(name: str) -> Any:
    # Listing engines imports this package; the class costs more than that.
    if name == "LanceEngine":
        from embow_lance.engine import LanceEngine

        return LanceEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
