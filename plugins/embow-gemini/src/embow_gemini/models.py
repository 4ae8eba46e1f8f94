"""What Google says about its text models, and the task types they know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

CURRENT = "gemini-embedding-001"


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    Attributes:
        ndims: Length of its vectors where no other is asked for.
        max_tokens: Tokens of one text.
        alone_on_vertex: Whether Vertex AI takes one text a request.
    """

    ndims: int
    max_tokens: int = 2048
    alone_on_vertex: bool = False


MODELS = {
    CURRENT: Model(3072, alone_on_vertex=True),
    "gemini-embedding-2": Model(3072, 8192, alone_on_vertex=True),
    # Served by Vertex AI only.
    "text-embedding-005": Model(768),
    "text-multilingual-embedding-002": Model(768),
}

SHUT_DOWN = ("embedding-001", "text-embedding-004", "gemini-embedding-exp-03-07")
"""Models that Google has switched off in the Gemini API."""

TASK_TYPES = (
    "retrieval_query",
    "retrieval_document",
    "semantic_similarity",
    "classification",
    "clustering",
    "question_answering",
    "fact_verification",
    "code_retrieval_query",
)

MAX_ITEMS = 100
VERTEX_MAX_ITEMS = 250
VERTEX_MAX_TOKENS = 20_000


def task_type(value: str) -> str:
    """Return a task type in lower case; ``clusering``, as widely documented, is clustering.

    Raises:
        ValueError: There is no such task type.
    """
    name = value.lower()
    if name == "clusering":
        return "clustering"
    if name not in TASK_TYPES:
        raise ValueError(f"no such task type; use one of {', '.join(TASK_TYPES)}")
    return name


def names_resource(value: Any) -> bool:
    """Tell whether a model's name is a path, which may lead into another account's project."""
    return not isinstance(value, str) or not re.fullmatch(r"(models/)?[\w.-]+", value)
