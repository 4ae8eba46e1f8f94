"""LanceDB's classes of index settings, and what embow makes of them."""

from __future__ import annotations

from typing import Any

import pytest

import embow.index
from embow_lancedb import index
from embow_lancedb.index import as_embow


@pytest.mark.parametrize(
    ("config", "storage"),
    [
        (index.IvfFlat(), "float32"),
        (index.IvfSq(), "float16"),
        (index.IvfPq(num_partitions=8, num_sub_vectors=2), "float16"),
        (index.IvfRq(), "float16"),
        (index.HnswPq(), "float16"),
        (index.HnswSq(), "float16"),
        (index.HnswFlat(), "float32"),
    ],
)
def test_every_index_of_vectors_is_a_graph(config: Any, storage: str) -> None:
    """It keeps as much of a vector as LanceDB's kind does, or near to it."""
    made = as_embow(config)
    assert isinstance(made, embow.index.Hnsw)
    assert (made.metric, made.storage) == ("l2", storage)


def test_settings_of_a_graph_are_kept() -> None:
    """Distance, neighbours, and candidates."""
    made = as_embow(index.HnswSq(distance_type="cosine", m=7, ef_construction=50))
    assert made == embow.index.Hnsw(metric="cosine", m=7, ef_construction=50, storage="float16")


@pytest.mark.parametrize(
    "config",
    [
        index.BTree(),
        index.Bitmap(),
        index.LabelList(),
        index.Fm(),
        index.IvfFlat(distance_type="hamming"),
    ],
)
def test_what_needs_no_index_is_accepted(config: Any) -> None:
    """Conditions and bits are compared without one."""
    assert as_embow(config) is None


def test_settings_of_full_text_are_kept() -> None:
    """Those of LanceDB's layout are left out; embow's own classes are taken as they are."""
    made = as_embow(index.FTS(language="French", with_position=True, memory_limit=5))
    assert made == embow.index.FTS(language="French", with_position=True)
    assert as_embow(made) is made


def test_settings_that_cannot_be_are_refused() -> None:
    """Sizes of blocks as in LanceDB, elements that are scored, and what is no index."""
    with pytest.raises(ValueError, match="128 or 256"):
        as_embow(index.FTS(block_size=7))
    with pytest.raises(ValueError, match="row of its own"):
        as_embow(index.FTS(document_granularity=index.DocumentGranularity.LIST_ELEMENT))
    with pytest.raises(ValueError, match=r"IvfPq\(\)"):
        as_embow("IVF_PQ")


def test_settings_compare_equal() -> None:
    """As dataclasses do; the older names are the same classes."""
    assert index.HnswPq(m=3) == index.IvfHnswPq(m=3) != index.HnswPq(m=4)
