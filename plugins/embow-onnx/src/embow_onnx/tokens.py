"""From text to token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from embow.embeddings import require_texts
from embow.errors import ConfigurationError


class TextTokenizer:
    """A model's tokenizer, cutting texts at the model's limit. Safe to share between threads."""

    def __init__(self, sdk: ModuleType, file: Path, max_length: int, lowercase: bool) -> None:
        """Load ``tokenizer.json``.

        Padding and truncation saved in the file are replaced: files from older exports pad each
        text to a fixed 128 tokens, which costs short texts ten times their time.

        Raises:
            ConfigurationError: The file cannot be read, or the limit leaves no room for text.
        """
        try:
            self._tokenizer = sdk.Tokenizer.from_file(str(file))
        except Exception as exc:  # the SDK raises plain Exception
            raise ConfigurationError(f"{str(file)!r} is not a tokenizer file: {exc}.") from exc
        self._lowercase = lowercase
        self._special: int = self._tokenizer.num_special_tokens_to_add(False)
        if max_length <= self._special:
            raise ConfigurationError(
                f"max_seq_length={max_length} leaves no room for text: the model adds "
                f"{self._special} tokens of its own to each."
            )
        padding = self._tokenizer.padding
        self.pad_id: int = padding["pad_id"] if padding else 0
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    def ids(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of each text, special tokens included, cut at the limit."""
        return [encoding.ids for encoding in self._encode(texts)]

    def count(self, texts: list[str]) -> list[int]:
        """Return how many tokens each text has, special tokens included, before any cut."""
        return [
            len(encoding.ids) + sum(len(rest.ids) - self._special for rest in encoding.overflowing)
            for encoding in self._encode(texts)
        ]

    def length(self, text: str) -> int:
        """Return how many tokens a text has without special tokens."""
        return self.count([text])[0] - self._special

    def cut(self, text: str, max_tokens: int) -> str:
        """Return the longest beginning of a text that has at most ``max_tokens``."""
        while text and self.count([text])[0] > max_tokens:
            encoding = self._tokenizer.encode(self._prepared(text))
            ends = [
                end
                for (_, end), special in zip(
                    encoding.offsets, encoding.special_tokens_mask, strict=True
                )
                if not special
            ]
            kept = min(max_tokens - self._special, len(ends))
            # Lower case may be longer than the text; one character less always ends the loop.
            text = text[: min(ends[kept - 1], len(text) - 1)] if kept > 0 else ""
        return text

    def _encode(self, texts: list[str]) -> Sequence[Any]:
        encodings: Sequence[Any] = self._tokenizer.encode_batch_fast(
            [self._prepared(text) for text in require_texts(texts)]
        )
        return encodings

    def _prepared(self, text: str) -> str:
        return text.lower() if self._lowercase else text
