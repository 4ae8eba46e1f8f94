"""Instructor models as embow embedding functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_instructor.provider import (
        InstructorEmbeddingFunction as InstructorEmbeddingFunction,
    )

__all__ = ["InstructorEmbeddingFunction"]


def __getattr__(name: str) -> Any:
    # Discovery imports this package to list the provider; the class costs more than that.
    if name == "InstructorEmbeddingFunction":
        from embow_instructor.provider import InstructorEmbeddingFunction

        return InstructorEmbeddingFunction
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
