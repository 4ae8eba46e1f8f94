"""Settings of indexes: LanceDB's classes, and the index of embow that each stands for.

embow has one index over vectors, a graph, whose answers are put into order by the table's own
vectors; what LanceDB's kinds differ in is how much of a vector the index itself keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from embow import index as core
from embow.errors import ConfigurationError

__all__ = [
    "FTS",
    "BTree",
    "Bitmap",
    "DocumentGranularity",
    "Fm",
    "HnswFlat",
    "HnswPq",
    "HnswSq",
    "IvfFlat",
    "IvfHnswFlat",
    "IvfHnswPq",
    "IvfHnswSq",
    "IvfPq",
    "IvfRq",
    "IvfSq",
    "LabelList",
]

Distance = Literal["l2", "cosine", "dot", "hamming"]
Storage = Literal["float32", "float16"]


class DocumentGranularity(Enum):
    """What is scored of a column of lists; embow scores rows."""

    ROW = "row"
    LIST_ELEMENT = "list_element"


@dataclass
class BTree:
    """An index of sorted values. Accepted: conditions are evaluated over columns, without one."""


@dataclass
class Bitmap:
    """An index of few distinct values. Accepted, as ``BTree``."""


@dataclass
class LabelList:
    """An index of lists of labels. Accepted, as ``BTree``."""


@dataclass
class Fm:
    """An index of parts of words. Accepted, as ``BTree``."""


@dataclass
class FTS:
    """An index of words; see :class:`embow.index.FTS`.

    ``block_size``, ``memory_limit`` and ``num_workers`` say how LanceDB's is laid out and built;
    they change nothing.
    """

    with_position: bool = False
    base_tokenizer: str = "simple"
    language: str = "English"
    max_token_length: int | None = 40
    lower_case: bool = True
    stem: bool = True
    remove_stop_words: bool = True
    ascii_folding: bool = True
    ngram_min_length: int = 3
    ngram_max_length: int = 3
    prefix_only: bool = False
    block_size: int = 128
    custom_stop_words: list[str] | None = None
    memory_limit: int | None = None
    num_workers: int | None = None
    document_granularity: DocumentGranularity = DocumentGranularity.ROW

    def as_embow(self) -> core.FTS:
        """Return embow's settings.

        Raises:
            ConfigurationError: ``block_size`` is one that LanceDB does not have either, or elements
                of lists are to be scored by themselves.
        """
        if self.block_size not in (128, 256):
            raise ConfigurationError(f"block_size must be 128 or 256, not {self.block_size!r}.")
        if self.document_granularity is not DocumentGranularity.ROW:
            raise ConfigurationError(
                "document_granularity: rows are scored, with all texts of their list. Put each "
                "text into a row of its own to have it scored by itself."
            )
        own = {"block_size", "memory_limit", "num_workers", "document_granularity"}
        return core.FTS(**{name: value for name, value in vars(self).items() if name not in own})


@dataclass
class IvfFlat:
    """Lists of whole vectors."""

    distance_type: Distance = "l2"
    num_partitions: int | None = None
    max_iterations: int = 50
    sample_rate: int = 256
    target_partition_size: int | None = None
    accelerator: str | None = None


@dataclass
class IvfSq:
    """Lists of vectors in bytes."""

    distance_type: Distance = "l2"
    num_partitions: int | None = None
    max_iterations: int = 50
    sample_rate: int = 256
    target_partition_size: int | None = None
    accelerator: str | None = None


@dataclass
class IvfPq:
    """Lists of vectors in codes."""

    distance_type: Distance = "l2"
    num_partitions: int | None = None
    num_sub_vectors: int | None = None
    num_bits: int = 8
    max_iterations: int = 50
    sample_rate: int = 256
    target_partition_size: int | None = None
    accelerator: str | None = None


@dataclass
class IvfRq:
    """Lists of vectors in bits."""

    distance_type: Distance = "l2"
    num_partitions: int | None = None
    num_bits: int = 1
    max_iterations: int = 50
    sample_rate: int = 256
    target_partition_size: int | None = None
    accelerator: str | None = None


@dataclass
class HnswPq:
    """A graph over vectors in codes."""

    distance_type: Distance = "l2"
    num_partitions: int | None = None
    num_sub_vectors: int | None = None
    num_bits: int = 8
    max_iterations: int = 50
    sample_rate: int = 256
    m: int = 20
    ef_construction: int = 300
    target_partition_size: int | None = None
    accelerator: str | None = None


@dataclass
class HnswSq:
    """A graph over vectors in bytes."""

    distance_type: Distance = "l2"
    num_partitions: int | None = None
    max_iterations: int = 50
    sample_rate: int = 256
    m: int = 20
    ef_construction: int = 300
    target_partition_size: int | None = None
    accelerator: str | None = None


@dataclass
class HnswFlat:
    """A graph over whole vectors."""

    distance_type: Distance = "l2"
    num_partitions: int | None = None
    max_iterations: int = 50
    sample_rate: int = 256
    m: int = 20
    ef_construction: int = 300
    target_partition_size: int | None = None


IvfHnswFlat, IvfHnswPq, IvfHnswSq = HnswFlat, HnswPq, HnswSq

_STORAGE: dict[type, Storage] = {
    IvfFlat: "float32",
    HnswFlat: "float32",
    IvfSq: "float16",
    IvfPq: "float16",
    IvfRq: "float16",
    HnswPq: "float16",
    HnswSq: "float16",
}
SCALARS = (BTree, Bitmap, LabelList, Fm)
"""Indexes of values, which embow evaluates conditions without."""


def as_embow(config: Any) -> core.Config | None:
    """Return embow's settings for an index; ``None`` where it needs none.

    Raises:
        ConfigurationError: It is no index's.
    """
    if isinstance(config, FTS):
        return config.as_embow()
    if isinstance(config, (core.Hnsw, core.FTS)):
        return config
    if isinstance(config, SCALARS):
        return None
    storage = _STORAGE.get(type(config))
    if storage is None:
        raise ConfigurationError(
            f"config={config!r:.60}: an index is described by a class of embow_lancedb.index, such "
            "as IvfPq(), HnswSq(), BTree() or FTS()."
        )
    if config.distance_type == "hamming":
        return None  # Bits are compared so fast that all of them are.
    given = vars(config)
    graph = {name: given[name] for name in ("m", "ef_construction") if name in given}
    return core.Hnsw(metric=config.distance_type, storage=storage, **graph)
