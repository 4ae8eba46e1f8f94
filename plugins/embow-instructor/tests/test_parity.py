"""The numbers of InstructorEmbedding 1.0.1, from a current sentence-transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embow_instructor import InstructorEmbeddingFunction as Provider

CASES = range(9)


@pytest.mark.parametrize("tokenizer", ["split", "unsplit"])
@pytest.mark.parametrize("role", ["source", "query"])
@pytest.mark.parametrize("case", CASES)
def test_vectors_are_those_of_the_original_package(
    folders: dict[str, str], numbers: dict[str, Any], case: int, role: str, tokenizer: str
) -> None:
    """For each instruction every text's vector agrees, whatever white space is around either."""
    instruction = numbers["instructions"][case]
    provider = Provider(
        name=folders[tokenizer], show_progress_bar=False, **{f"{role}_instruction": instruction}
    )
    compute = {
        "source": provider.compute_source_embeddings,
        "query": provider.compute_query_embeddings,
    }
    vectors = compute[role](numbers["texts"])
    np.testing.assert_allclose(vectors, numbers["vectors"][tokenizer][case], atol=1e-5)


def test_every_case_is_compared(numbers: dict[str, Any]) -> None:
    """No instruction of the reference is left out, and no two give the same vectors."""
    assert list(CASES) == list(range(len(numbers["instructions"])))
    vectors = np.array(numbers["vectors"]["unsplit"])[:, 0]
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    assert (apart[np.triu_indices(6, 1)] > 1e-3).all()


def test_the_obvious_way_gives_other_vectors(folder: str, numbers: dict[str, Any]) -> None:
    """The reference tells apart a mean that leaves the instruction in."""
    from sentence_transformers import SentenceTransformer

    text, instruction = numbers["texts"][0], numbers["instructions"][0]
    found = SentenceTransformer(folder, device="cpu").encode([instruction + text])
    assert np.abs(found[0] - numbers["vectors"]["split"][0][0]).max() > 1e-3
