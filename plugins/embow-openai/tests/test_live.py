"""OpenAI itself: run with OPENAI_API_KEY set and ``-m live``."""

import os

import numpy as np
import pytest

from embow.embeddings import get_registry

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not os.environ.get("OPENAI_API_KEY"), reason="OPENAI_API_KEY is not set"),
]


@pytest.mark.parametrize(
    ("settings", "ndims"),
    [({}, 1536), ({"name": "text-embedding-3-small", "dim": 256}, 256)],
)
def test_openai_answers_as_expected(settings, ndims):
    """Length, order and meaning are right."""
    function = get_registry().get("openai").create(**settings)
    vectors = function.generate_embeddings(["a cat", "a kitten", "a tax return"])
    assert vectors.shape == (3, ndims)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
