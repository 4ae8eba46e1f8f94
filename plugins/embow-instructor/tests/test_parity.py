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


@pytest.mark.parametrize(
    ("wrong", "case"),
    [
        (lambda model, instruction, text: model.encode([text.strip()], prompt=instruction), 3),
        (lambda model, instruction, text: model.encode([instruction + text]), 0),
    ],
    ids=["the space at the end is masked as a token", "the instruction is pooled too"],
)
def test_the_obvious_ways_give_other_vectors(
    folders: dict[str, str], numbers: dict[str, Any], wrong: Any, case: int
) -> None:
    """The reference tells apart the ways that look right and are not."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folders["unsplit"], device="cpu")
    model.set_pooling_include_prompt(False)
    found = wrong(model, numbers["instructions"][case], numbers["texts"][0])
    assert np.abs(found[0] - numbers["vectors"]["unsplit"][case][0]).max() > 1e-3
