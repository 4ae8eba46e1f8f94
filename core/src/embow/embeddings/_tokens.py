"""Exact token counts, for providers that have a model's own tokenizer at hand."""

from __future__ import annotations

from typing import Any, Self


class TokenCounter:
    """Counts tokens and cuts texts with a ``tokenizers.Tokenizer``.

    It never changes its tokenizer, so threads may share it.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Take a tokenizer that neither pads nor cuts."""
        self._tokenizer = tokenizer

    @classmethod
    def of(cls, tokenizer: Any) -> Self | None:
        """Copy a ``tokenizers.Tokenizer`` or one of transformers with such inside, else ``None``.

        The copy neither pads nor cuts. The original is switched to both while the model works,
        so it cannot be used for counting at the same time.
        """
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        if not hasattr(backend, "to_str"):
            return None
        copy = type(backend).from_str(backend.to_str())
        copy.no_padding()
        copy.no_truncation()
        return cls(copy)

    def count(self, texts: list[str], *, special: bool = True) -> list[int]:
        """Return the tokens of each text, the special ones around it included or not."""
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=special)
        return [len(encoding.ids) for encoding in encodings]

    def cut(self, text: str, max_tokens: int) -> str:
        """Return the beginning of a text that has ``max_tokens`` tokens, special ones included.

        At least one token of the text itself is kept.
        """
        encoding = self._tokenizer.encode(text)
        surplus = len(encoding.ids) - max_tokens
        if surplus <= 0:
            return text
        marked = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        ends = [end for (_, end), special in marked if not special]
        kept = ends[: max(1, len(ends) - surplus)]
        return text[: kept[-1]] if kept else text
