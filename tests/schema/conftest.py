"""A column function without a provider."""

from __future__ import annotations

from typing import Any

import pytest


class FakeFunction:
    """Fills vector columns as far as a schema is concerned: it only has a length and a name."""

    def __init__(self, ndims: Any = 3, name: str = "fake") -> None:
        self._ndims = ndims
        self.name = name
        self.api_key = "sk-do-not-print"
        self.asked = 0

    def ndims(self) -> Any:
        self.asked += 1
        return self._ndims

    def to_binding(self, source_column: str, vector_column: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": {},
            "source_column": source_column,
            "vector_column": vector_column,
        }

    def SourceField(self, **kwargs: Any) -> Any:  # noqa: N802 - the name users type
        from embow.schema._fields import source_field

        return source_field(self, **kwargs)

    def VectorField(self, **kwargs: Any) -> Any:  # noqa: N802 - the name users type
        from embow.schema._fields import vector_field

        return vector_field(self, **kwargs)


@pytest.fixture
def make_function() -> type[FakeFunction]:
    """Return the class, for tests that need several functions."""
    return FakeFunction


@pytest.fixture
def func() -> FakeFunction:
    """Return a function of three dimensions."""
    return FakeFunction()
