"""Settings as people read them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr

from embow.embeddings import TextEmbeddingFunction, operational
from embow.embeddings._describe import Setting, describe_settings, type_text


class Described(TextEmbeddingFunction):
    """A provider with one setting of each kind."""

    name: str = Field(description="The model.")
    device: Annotated[str, operational] = Field(default="cpu", description="Where it runs.")
    api_key: SecretStr | None = Field(default=None, description="The key.")
    tags: list[str] = Field(default_factory=list, description="Some words.")

    def ndims(self) -> int:
        """Return the length of the vectors."""
        return 1

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return nothing of use."""
        return texts


def test_settings_are_described_own_first() -> None:
    """Each setting has type, default, kind and text; those every provider has come last."""
    described = describe_settings(Described)
    assert described[:-1] == [
        Setting("name", "str", None, "identity", "The model."),
        Setting("device", "str", "'cpu'", "operational", "Where it runs."),
        Setting("api_key", "secret | None", "None", "secret", "The key."),
        Setting("tags", "list[str]", "[]", "identity", "Some words."),
    ]
    assert described[-1].name == "max_retries"


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (None, "None"),
        (str | None, "str | None"),
        (Literal["a", "b"], "'a' | 'b'"),
        (dict[str, SecretStr] | None, "dict[str, secret] | None"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Any, "Any"),
    ],
)
def test_types_are_written_as_one_writes_them(annotation: Any, text: str) -> None:
    """A type reads as in source text, secrets marked as such."""
    assert type_text(annotation) == text
