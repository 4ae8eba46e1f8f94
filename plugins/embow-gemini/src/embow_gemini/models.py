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
    "gemini-embedding-2-preview": Model(3072, 8192, alone_on_vertex=True),
    # Served by Vertex AI only.
    "text-embedding-005": Model(768),
    "text-multilingual-embedding-002": Model(768),
}

SHUT_DOWN = ("embedding-001", "text-embedding-004", "gemini-embedding-exp-03-07")
"""Models that Google has switched off in the Gemini API."""

_IN_TEXT = {
    "retrieval_query": "task: search result | query: ",
    "retrieval_document": "title: {title} | text: ",
    "semantic_similarity": "task: sentence similarity | query: ",
    "classification": "task: classification | query: ",
    "clustering": "task: clustering | query: ",
    "question_answering": "task: question answering | query: ",
    "fact_verification": "task: fact checking | query: ",
    "code_retrieval_query": "task: code retrieval | query: ",
}
"""Task types, with what stands before a text of models that are told in the text."""

MAX_ITEMS = 100
VERTEX_MAX_ITEMS = 250
VERTEX_MAX_TOKENS = 20_000


_LATER = re.compile(r"gemini-embedding-(?!001\b)\d")
"""Models after the first are told in the text what it is for, those not listed here too."""


def find_model(name: str) -> Model | None:
    """Return the model a name or the path of a resource names, if it is known."""
    return MODELS.get(name.rpartition("/")[2])


def task_type(value: str) -> str:
    """Return a task type in lower case; ``clusering``, as widely documented, is clustering.

    Raises:
        ValueError: There is no such task type.
    """
    name = value.lower()
    if name == "clusering":
        return "clustering"
    if name not in _IN_TEXT:
        raise ValueError(f"no such task type; use one of {', '.join(_IN_TEXT)}")
    return name


def prefix(model: str, task: str, title: str | None = None) -> str | None:
    """Return what stands before a text of a model that ignores ``taskType``, else ``None``."""
    if not _LATER.match(model.rpartition("/")[2]):
        return None
    return _IN_TEXT[task].format(title=title or "none")


def names_resource(value: Any) -> bool:
    """Tell whether a model's name is a path, which may lead into another account's project."""
    return not isinstance(value, str) or not re.fullmatch(r"(models/)?[\w.-]+", value)
