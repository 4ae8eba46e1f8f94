"""Worker processes give the same vectors, and are stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from embow_sentence_transformers import SentenceTransformerEmbeddings as Provider
from embow_sentence_transformers import workers


@pytest.fixture(scope="module")
def folder(make_model: Any) -> str:
    """Return a tiny model."""
    return make_model(prompts={"query": "query ", "document": "passage "})


@pytest.fixture(scope="module")
def pooled(folder: str) -> Iterator[Any]:
    """Return a provider with two workers, and stop them in the end."""
    provider = Provider(name=folder, processes=2, batch_size=8, truncate_dim=16)
    yield provider
    workers.worker_pool(provider, provider._settings(), 2).close()


@pytest.mark.parametrize("role", ["source", "query"])
def test_workers_give_the_same_vectors(
    folder: str, pooled: Any, texts: list[str], role: str
) -> None:
    """Two workers return what one process returns, in order, with prompts and shortening."""
    alone = Provider(name=folder, truncate_dim=16)
    expected = getattr(alone, f"compute_{role}_embeddings")(texts)
    vectors = getattr(pooled, f"compute_{role}_embeddings")(texts)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_short_lists_stay_in_this_process(
    folder: str, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query is not worth a trip to a worker, nor the start of one."""
    monkeypatch.setattr(workers.WorkerPool, "encode", lambda *_: pytest.fail("went to a worker"))
    provider = Provider(name=folder, processes=2)
    assert provider.compute_source_embeddings(texts[:63]).shape == (63, 32)


def test_a_dead_worker_is_an_error_and_the_next_call_works(pooled: Any, texts: list[str]) -> None:
    """When a worker is killed the call fails instead of waiting, and new workers are started."""
    expected = pooled.generate_embeddings(texts)
    pool = workers.worker_pool(pooled, pooled._settings(), 2)
    for process in pool._pool["processes"]:
        process.kill()
        process.join()
    with pytest.raises(RuntimeError, match="died unexpectedly"):
        pooled.generate_embeddings(texts)
    np.testing.assert_allclose(pooled.generate_embeddings(texts), expected, atol=1e-6)
