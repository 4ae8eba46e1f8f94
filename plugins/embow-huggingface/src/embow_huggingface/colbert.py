"""What a ColBERT checkpoint adds to its encoder: a linear head, and marks for the two roles."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embow.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import Tensor

_HEAD = "linear.weight"


@dataclass(frozen=True, slots=True)
class ColbertSettings:
    """How a checkpoint was trained, as its ``artifact.metadata`` says.

    Attributes:
        query_mark: Token put behind the first one of a query.
        document_mark: The same for a document.
        query_tokens: Length every query is filled up to with mask tokens, and cut to.
        document_tokens: Length a document is cut to.
        skip_punctuation: Whether a document's punctuation has no vectors.
        attend_to_fill: Whether the encoder sees the mask tokens a query is filled up with.
    """

    query_mark: str = "[unused0]"
    document_mark: str = "[unused1]"
    query_tokens: int = 32
    document_tokens: int = 220
    skip_punctuation: bool = True
    attend_to_fill: bool = False


@dataclass(frozen=True, slots=True)
class Colbert:
    """Settings, with the tokens looked up in the tokenizer, and the head.

    Attributes:
        settings: How the checkpoint was trained.
        query_mark: Token id of the query mark.
        document_mark: Token id of the document mark.
        fill: Token id of the mask token.
        skipped: Token ids without a vector in documents.
        head: Weights of the linear layer, shape ``(dim, hidden)``.
    """

    settings: ColbertSettings
    query_mark: int
    document_mark: int
    fill: int
    skipped: frozenset[int]
    head: Tensor


def read_settings(file: Path | None) -> ColbertSettings:
    """Return the settings in an ``artifact.metadata`` file, the usual ones where it has none."""
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file else {}
    usual = ColbertSettings()
    return ColbertSettings(
        query_mark=kept.get("query_token_id") or usual.query_mark,
        document_mark=kept.get("doc_token_id") or usual.document_mark,
        query_tokens=kept.get("query_maxlen") or usual.query_tokens,
        document_tokens=kept.get("doc_maxlen") or usual.document_tokens,
        skip_punctuation=kept.get("mask_punctuation", usual.skip_punctuation),
        attend_to_fill=bool(kept.get("attend_to_mask_tokens", usual.attend_to_fill)),
    )


def make_colbert(settings: ColbertSettings, tokenizer: Any, head: Tensor) -> Colbert:
    """Look the settings' tokens up.

    Raises:
        ConfigurationError: The tokenizer lacks one of the marks.
    """
    return Colbert(
        settings=settings,
        query_mark=_token_id(tokenizer, settings.query_mark),
        document_mark=_token_id(tokenizer, settings.document_mark),
        fill=_token_id(tokenizer, tokenizer.mask_token),
        skipped=_punctuation(tokenizer) if settings.skip_punctuation else frozenset(),
        head=head,
    )


def read_head(weights: Path) -> Tensor | None:
    """Return the linear head in a file of weights, or ``None`` where it has none."""
    if weights.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(weights, framework="pt") as file:
            return file.get_tensor(_HEAD) if _HEAD in file.keys() else None  # noqa: SIM118
    import torch

    kept = torch.load(weights, map_location="cpu", weights_only=True, mmap=True)
    head: Tensor | None = kept.get(_HEAD)
    return head


def _token_id(tokenizer: Any, token: str | None) -> int:
    known = None if token is None else tokenizer.get_vocab().get(token)
    if known is None:
        raise ConfigurationError(
            f"The tokenizer of this ColBERT checkpoint has no token {token!r}, which its "
            "settings name. The folder holds a tokenizer of another model."
        )
    return int(known)


def _punctuation(tokenizer: Any) -> frozenset[int]:
    pieces = (tokenizer.encode(sign, add_special_tokens=False)[:1] for sign in string.punctuation)
    return frozenset(token for piece in pieces for token in piece)
