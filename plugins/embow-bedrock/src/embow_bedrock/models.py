"""The text models of Bedrock: what each takes, what it answers, and its limits."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embow.errors import BadOutputError


@dataclass(frozen=True, slots=True)
class Model(ABC):
    """One model.

    Attributes:
        pattern: What its ids contain, whatever region prefix or ARN stands before.
        ndims: Length of its vectors where no other is asked for.
        lengths: Lengths that may be asked for.
        max_tokens: Tokens of one text.
        max_items: Texts of one call.
    """

    pattern: str
    ndims: int
    lengths: tuple[int, ...]
    max_tokens: int
    max_items: int

    @abstractmethod
    def body(self, texts: Sequence[str], input_type: str, dim: int | None) -> dict[str, Any]:
        """Return the JSON body of a call."""

    @abstractmethod
    def vectors(self, answer: Mapping[str, Any]) -> list[Sequence[float]]:
        """Return the vectors of an answer."""


@dataclass(frozen=True, slots=True)
class Titan(Model):
    """Amazon's models take one text a call."""

    def body(self, texts: Sequence[str], input_type: str, dim: int | None) -> dict[str, Any]:
        """Return the text, and the length where it can be chosen."""
        (text,) = texts
        chosen = {"dimensions": dim} if dim is not None and len(self.lengths) > 1 else {}
        return {"inputText": text, **chosen}

    def vectors(self, answer: Mapping[str, Any]) -> list[Sequence[float]]:
        """Return the one vector."""
        return [_found(answer, "embedding")]


@dataclass(frozen=True, slots=True)
class Cohere(Model):
    """Cohere's models take 96 texts a call, and are told what for."""

    def body(self, texts: Sequence[str], input_type: str, dim: int | None) -> dict[str, Any]:
        """Return texts and input type, and the length where it can be chosen."""
        chosen: dict[str, Any] = {}
        if len(self.lengths) > 1:
            chosen = {"embedding_types": ["float"]}
            if dim is not None:
                chosen["output_dimension"] = dim
        return {"texts": list(texts), "input_type": input_type, **chosen}

    def vectors(self, answer: Mapping[str, Any]) -> list[Sequence[float]]:
        """Return the vectors, whether sorted by type or not."""
        embeddings = _found(answer, "embeddings")
        if isinstance(embeddings, Mapping):
            embeddings = _found(embeddings, "float")
        return list(embeddings)


MODELS: tuple[Model, ...] = (
    Titan("amazon.titan-embed-text-v1", 1536, (1536,), 8192, 1),
    Titan("amazon.titan-embed-text-v2", 1024, (256, 512, 1024), 8192, 1),
    Cohere("cohere.embed-english-v3", 1024, (1024,), 512, 96),
    Cohere("cohere.embed-multilingual-v3", 1024, (1024,), 512, 96),
    Cohere("cohere.embed-v4", 1536, (256, 512, 1024, 1536), 128_000, 96),
)


def model_of(name: str) -> Model:
    """Return the model an id, an inference profile or an ARN names.

    Raises:
        ValueError: It is none that this provider knows.
    """
    for model in MODELS:
        if re.search(rf"(?:^|[./]){re.escape(model.pattern)}(?:\Z|[:/])", name):
            return model
    known = ", ".join(model.pattern for model in MODELS)
    raise ValueError(f"no text model of Bedrock is known as {name!r}; use one of {known}")


def names_account(value: Any) -> bool:
    """Tell whether a model's name is an ARN of an account, which sees what is sent."""
    parts = value.split(":") if isinstance(value, str) else []
    return not isinstance(value, str) or (parts[0] == "arn" and any(parts[4:5]))


def _found(answer: Mapping[str, Any], field: str) -> Any:
    value = answer.get(field) if isinstance(answer, Mapping) else None
    if value is None:
        raise BadOutputError(f"Bedrock's answer holds no {field!r}.")
    return value
