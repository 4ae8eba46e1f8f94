"""The Gemini API itself: run with GOOGLE_API_KEY set and ``-m live``."""

import os

import numpy as np
import pytest

from embow.embeddings import get_registry

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not os.environ.get("GOOGLE_API_KEY"), reason="GOOGLE_API_KEY is not set"),
]


@pytest.mark.parametrize(("settings", "ndims"), [({}, 3072), ({"dim": 768}, 768)])
def test_the_vendor_answers_as_expected(settings, ndims):
    """Length, order, roles and meaning are right."""
    function = get_registry().get("gemini-text").create(**settings)
    vectors = function.compute_source_embeddings(["The cat sleeps.", "Taxes are due in May."])
    query = function.compute_query_embeddings("a sleeping animal")[0]
    assert vectors.shape == (2, ndims)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)
    assert vectors[0] @ query > vectors[1] @ query
