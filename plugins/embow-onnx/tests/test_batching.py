"""Batches waste little and lose nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from embow_onnx.batching import plan

LENGTHS = st.lists(st.integers(0, 300), max_size=200)


@given(lengths=LENGTHS, items=st.integers(1, 70), tokens=st.integers(1, 3000))
def test_each_text_is_in_one_batch_within_the_limits(
    lengths: list[int], items: int, tokens: int
) -> None:
    """No position is lost or doubled, and a batch of several stays within both limits."""
    batches = plan(lengths, items, tokens)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) <= items
        assert len(batch) == 1 or len(batch) * longest <= tokens


@given(lengths=LENGTHS)
def test_longest_texts_go_first(lengths: list[int]) -> None:
    """Texts of like length go together, so the largest memory is asked for at once."""
    flat = [lengths[i] for batch in plan(lengths, 8, 1000) for i in batch]
    assert flat == sorted(lengths, reverse=True)
