"""What kinds of index there are: the settings of ``table.create_index``.

Nobody has to create one: without an index every answer is found by reading, and is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import pyarrow as pa

from embow.engines.contract import Capability, Metric
from embow.errors import ConfigurationError, near_name

if TYPE_CHECKING:
    from embow.engines.text import TextLibrary

_METRICS = ("l2", "cosine", "dot")
_STORAGES = ("float16", "float32")


@dataclass(frozen=True, kw_only=True)
class Hnsw:
    """A graph over vectors: finds nearly all of the nearest while it looks at few of them.

    Distances in the answers are exact, and rows added since are found too. Built by
    ``embow[faiss]``.

    Args:
        metric: The distance it is for; a search by another one reads all vectors.
        m: Neighbours of each vector: more find more, and take more memory.
        ef_construction: Candidates looked at for each vector while building: more take longer
            and make a better graph.
        storage: What the graph keeps of the vectors. ``"float16"`` takes half the memory and is
            faster; answers are ordered by the table's own vectors either way.

    Raises:
        ConfigurationError: A setting has no such value.
    """

    kind: ClassVar[str] = "hnsw"
    capability: ClassVar[Capability] = Capability.VECTOR_INDEX

    metric: Metric = "l2"
    m: int = 20
    ef_construction: int = 150
    storage: Literal["float16", "float32"] = "float16"

    def __post_init__(self) -> None:
        _one_of("metric", self.metric, _METRICS)
        _one_of("storage", self.storage, _STORAGES)
        _at_least("m", self.m, 2)
        _at_least("ef_construction", self.ef_construction, 1)

    def settings(self) -> Mapping[str, Any]:
        """Return them as plain JSON."""
        return asdict(self)


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


Config = Hnsw | FTS


def tokenize(text: str, config: FTS | None = None) -> list[str]:
    """Return the words of a text as an index keeps them and a query looks for them.

    Example:
        ``tokenize("Les routes", FTS(language="French"))`` returns ``["rout"]``.

    Args:
        text: Any text.
        config: Settings of the index; the defaults of `FTS` where it is ``None``.

    Raises:
        ConfigurationError: A setting has no such value.
        PluginError: What analyses text is not installed; the message says what to install.
    """
    from embow.plugins._indexes import index_library

    chosen = FTS() if config is None else config
    library = index_library(chosen.kind)(chosen.settings(), pa.string())
    return cast("TextLibrary[Any]", library).tokenize(text)


@dataclass(frozen=True, kw_only=True)
class IndexStats:
    """What is known of an index.

    Attributes:
        name: Its name.
        column: The column it is of.
        kind: ``"hnsw"`` or ``"fts"``, or what another library builds.
        settings: What it was made with.
        num_indexed_rows: Rows of the current version that it covers.
        num_unindexed_rows: Rows that are read beside it, until ``optimize``.
        num_pieces: Pieces it is in.
        num_bytes: Their size, where they are files.
        trouble: Why it is not used, where it cannot be; a sentence.
    """

    name: str
    column: str
    kind: str
    settings: Mapping[str, Any]
    num_indexed_rows: int
    num_unindexed_rows: int
    num_pieces: int
    num_bytes: int
    trouble: str = ""


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigurationError(
            f"{name} is {value!r}.{near_name(str(value), known)} It is one of: {', '.join(known)}."
        )


def _at_least(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError(
            f"{name} must be a whole number of at least {least}, not {value!r}."
        )
