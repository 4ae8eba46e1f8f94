"""Which texts go through the model together."""

from __future__ import annotations

from collections.abc import Sequence


def plan(lengths: Sequence[int], max_items: int, max_tokens: int) -> list[list[int]]:
    """Group positions so that little is spent on padding.

    Texts of like length go together, the longest first. A batch costs its count times its
    longest text, and that product stays within ``max_tokens``; a longer text goes alone.

    Args:
        lengths: Tokens of each text.
        max_items: Texts in one batch, at least 1.
        max_tokens: Tokens in one batch, padding included.

    Returns:
        Batches of positions into ``lengths``; each position is in exactly one.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    batches = []
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        size = max(1, min(max_items, max_tokens // longest))
        batches.append(order[start : start + size])
        start += size
    return batches
