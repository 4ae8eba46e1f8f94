"""Cohere itself: run with COHERE_API_KEY set and ``-m live``."""

import os

import numpy as np
import pytest

from embow.embeddings import get_registry

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not os.environ.get("COHERE_API_KEY"), reason="COHERE_API_KEY is not set"),
]


@pytest.mark.parametrize(
    ("settings", "ndims"), [({}, 1024), ({"name": "embed-v4.0", "output_dimension": 256}, 256)]
)
def test_the_vendor_answers_as_expected(settings, ndims):
    """Length, order, roles and meaning are right."""
    function = get_registry().get("cohere").create(**settings)
    vectors = function.compute_source_embeddings(["The cat sleeps.", "Taxes are due in May."])
    query = function.compute_query_embeddings("a sleeping animal")[0]
    assert vectors.shape == (2, ndims)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)
    assert vectors[0] @ query > vectors[1] @ query
