"""What kinds of index there are: the settings of ``table.create_index``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from embow.engines.contract import Capability


@dataclass(frozen=True, kw_only=True)
class FTS:
    """Words of a text column, or of a column of lists of texts. Built by ``embow[text]``.

    Args:
        with_position: Whether phrases can be searched for; a third larger.
        base_tokenizer: ``"simple"`` cuts at what is no letter, digit or mark, and scripts without
            spaces into overlapping pairs of characters; ``"whitespace"`` cuts at white space;
            ``"raw"`` takes a text as one term; ``"ngram"`` takes every run of characters.
        language: Of stems and stop words, such as ``"English"``.
        max_token_length: Words of this many bytes and more are left out; ``None`` keeps them.
        lower_case: Whether case is ignored.
        stem: Whether forms of a word are one term.
        remove_stop_words: Whether the commonest words are left out.
        custom_stop_words: Left out in place of the language's own.
        ascii_folding: Whether ``"é"`` is found as ``"e"``.
        ngram_min_length: Characters in the shortest run.
        ngram_max_length: Characters in the longest run.
        prefix_only: Whether only runs at the beginning of a text are taken.
    """

    kind: ClassVar[str] = "fts"
    capability: ClassVar[Capability] = Capability.TEXT_INDEX

    with_position: bool = False
    base_tokenizer: str = "simple"
    language: str = "English"
    max_token_length: int | None = 40
    lower_case: bool = True
    stem: bool = True
    remove_stop_words: bool = True
    custom_stop_words: Sequence[str] | None = None
    ascii_folding: bool = True
    ngram_min_length: int = 3
    ngram_max_length: int = 3
    prefix_only: bool = False

    def settings(self) -> Mapping[str, Any]:
        """Return them as plain JSON."""
        words = self.custom_stop_words
        return asdict(self) | {"custom_stop_words": None if words is None else list(words)}
