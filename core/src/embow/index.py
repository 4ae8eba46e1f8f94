"""What kinds of index there are, as data: what ``table.create_index`` takes.

Example:
    ``table.create_index("text", config=FTS(language="French", with_position=True))``
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from embow.engines.contract import Capability

Tokenizer = Literal["simple", "whitespace", "raw", "ngram"]


@dataclass(frozen=True)
class FTS:
    """Full text of a column of texts, or of lists of them. The names and defaults are LanceDB's.

    Args:
        with_position: Whether phrases can be searched for; a third larger.
        base_tokenizer: ``"simple"`` cuts at what is no letter, digit or mark, and scripts written
            without spaces into overlapping pairs of characters; ``"whitespace"`` cuts at white
            space; ``"raw"`` takes a text as one term; ``"ngram"`` takes every run of characters.
        language: Whose stems and stop words: Arabic, Danish, Dutch, English, Finnish, French,
            German, Greek, Hungarian, Italian, Norwegian, Portuguese, Romanian, Russian, Spanish,
            Swedish, Tamil or Turkish.
        max_token_length: Words of this many bytes and more are left out; ``None`` keeps them.
        lower_case: Whether case is ignored.
        stem: Whether forms of a word are one term. Not with ``"raw"`` and ``"ngram"``.
        remove_stop_words: Whether the commonest words are left out. Not with ``"raw"`` and
            ``"ngram"``.
        ascii_folding: Whether ``"é"`` is found as ``"e"``.
        ngram_min_length: Characters in the shortest run.
        ngram_max_length: Characters in the longest run.
        prefix_only: Whether only runs at the beginning of a text are taken.
        custom_stop_words: Left out in place of the language's own.
    """

    capability: ClassVar[Capability] = Capability.TEXT_INDEX

    with_position: bool = False
    base_tokenizer: Tokenizer = "simple"
    language: str = "English"
    max_token_length: int | None = 40
    lower_case: bool = True
    stem: bool = True
    remove_stop_words: bool = True
    ascii_folding: bool = True
    ngram_min_length: int = 3
    ngram_max_length: int = 3
    prefix_only: bool = False
    custom_stop_words: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.custom_stop_words is not None:  # Frozen, and a list would make it unhashable.
            object.__setattr__(self, "custom_stop_words", tuple(self.custom_stop_words))
