"""From the vectors of tokens to one vector a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Pooling = Literal["mean", "cls", "max", "last"]


def pool(tokens: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Return one vector a text.

    Args:
        tokens: Token vectors, shape ``(texts, tokens, dim)``, padding on the right.
        mask: 1 where there is a token and 0 where there is padding, shape ``(texts, tokens)``.
        pooling: ``mean`` or ``max`` over the tokens, the first one (``cls``) or the ``last``.

    Returns:
        Shape ``(texts, dim)``.
    """
    return _POOLINGS[pooling](tokens, mask)


def _mean(tokens: Tensor, mask: Tensor) -> Tensor:
    weights = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def _max(tokens: Tensor, mask: Tensor) -> Tensor:
    return tokens.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


def _cls(tokens: Tensor, mask: Tensor) -> Tensor:
    return tokens[:, 0]


def _last(tokens: Tensor, mask: Tensor) -> Tensor:
    import torch

    last = (mask.sum(dim=1) - 1).clamp(min=0)
    return tokens[torch.arange(len(tokens), device=tokens.device), last]


_POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": _mean,
    "max": _max,
    "cls": _cls,
    "last": _last,
}
