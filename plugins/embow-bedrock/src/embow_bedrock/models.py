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
        max_characters: Characters of one text, where AWS counts them.
        aliases: What older ids of it contain.
    """

    pattern: str
    ndims: int
    lengths: tuple[int, ...]
    max_tokens: int
    max_items: int
    max_characters: int | None = None
    aliases: tuple[str, ...] = ()

    @abstractmethod
    def body(self, texts: Sequence[str], input_type: str, dim: int | None) -> dict[str, Any]:
        """Return the JSON body of a call."""

    @abstractmethod
    def vectors(self, answer: Any) -> Any:
        """Return the vectors of an answer, unchecked."""


@dataclass(frozen=True, slots=True)
class Titan(Model):
    """Amazon's models take one text a call."""

    def body(self, texts: Sequence[str], input_type: str, dim: int | None) -> dict[str, Any]:
        """Return the text, and the length where it can be chosen."""
        (text,) = texts
        chosen = {"dimensions": dim} if dim is not None and len(self.lengths) > 1 else {}
        return {"inputText": text, **chosen}

    def vectors(self, answer: Any) -> Any:
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

    def vectors(self, answer: Any) -> Any:
        """Return the vectors, whether sorted by type or not."""
        embeddings = _found(answer, "embeddings")
        if isinstance(embeddings, Mapping):
            embeddings = _found(embeddings, "float")
        return embeddings


@dataclass(frozen=True, slots=True)
class TitanImage(Titan):
    """Amazon's model for images and text; here it gets text."""

    def body(self, texts: Sequence[str], input_type: str, dim: int | None) -> dict[str, Any]:
        """Return the text, and the length."""
        (text,) = texts
        length = {"embeddingConfig": {"outputEmbeddingLength": dim}} if dim is not None else {}
        return {"inputText": text, **length}


_PURPOSES = {
    "search_document": "GENERIC_INDEX",
    "search_query": "TEXT_RETRIEVAL",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


@dataclass(frozen=True, slots=True)
class Nova(Model):
    """Amazon's model for all media takes one text a call, and is told what for."""

    def body(self, texts: Sequence[str], input_type: str, dim: int | None) -> dict[str, Any]:
        """Return the text with its purpose; too long ones are to be refused, not cut."""
        (text,) = texts
        return {
            "taskType": "SINGLE_EMBEDDING",
            "singleEmbeddingParams": {
                "embeddingPurpose": _PURPOSES[input_type],
                "embeddingDimension": dim or self.ndims,
                "text": {"truncationMode": "NONE", "value": text},
            },
        }

    def vectors(self, answer: Any) -> Any:
        """Return the one vector."""
        rows = _found(answer, "embeddings")
        return [_found(row, "embedding") for row in rows] if isinstance(rows, list) else rows


MODELS: tuple[Model, ...] = (
    Titan(
        "amazon.titan-embed-text-v1",
        1536,
        (1536,),
        8192,
        1,
        aliases=("amazon.titan-embed-g1-text-02",),
    ),
    Titan("amazon.titan-embed-text-v2", 1024, (256, 512, 1024), 8192, 1, 50_000),
    TitanImage("amazon.titan-embed-image-v1", 1024, (256, 384, 1024), 256, 1),
    Nova("amazon.nova-2-multimodal-embeddings-v1", 3072, (256, 384, 1024, 3072), 8192, 1, 8192),
    Cohere("cohere.embed-english-v3", 1024, (1024,), 512, 96, 2048),
    Cohere("cohere.embed-multilingual-v3", 1024, (1024,), 512, 96, 2048),
    Cohere("cohere.embed-v4", 1536, (256, 512, 1024, 1536), 128_000, 96),
)


def find_model(name: str) -> Model | None:
    """Return the model an id, an inference profile or an ARN names, if it is known."""
    for model in MODELS:
        for pattern in (model.pattern, *model.aliases):
            if re.search(rf"(?:^|[./]){re.escape(pattern)}(?:\Z|[:/])", name):
                return model
    return None


def model_of(name: str, model: str | None = None) -> Model:
    """Return the model that is called by ``name``; ``model`` says which where the name does not.

    Raises:
        ValueError: It is none that this provider knows, or ``name`` names another.
    """
    by_name, said = find_model(name), find_model(model) if model is not None else None
    if by_name is not None and said is not None and by_name != said:
        raise ValueError(f"{name} names {by_name.pattern}, not model={model!r}; leave model out")
    found = by_name or said
    if found is not None:
        return found
    known = ", ".join(model.pattern for model in MODELS)
    if model is None and name.startswith("arn:"):
        raise ValueError(f"{name!r} does not say its model; add model=, one of {known}")
    unknown = name if model is None else model
    raise ValueError(
        f"no text model of Bedrock is known as {unknown!r} that answers in one call; "
        f"use one of {known}"
    )


def names_account(value: Any) -> bool:
    """Tell whether a model's name is an ARN of an account, which sees what is sent."""
    parts = value.split(":") if isinstance(value, str) else []
    return not isinstance(value, str) or (parts[0] == "arn" and any(parts[4:5]))


def _found(answer: Any, field: str) -> Any:
    value = answer.get(field) if isinstance(answer, Mapping) else None
    if value is None:
        raise BadOutputError(f"Bedrock's answer holds no {field!r}.")
    return value
