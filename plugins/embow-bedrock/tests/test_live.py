"""Bedrock itself: run with EMBOW_LIVE_BEDROCK=1, AWS credentials and ``-m live``."""

import os

import pytest

from embow.embeddings import get_registry

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not os.environ.get("EMBOW_LIVE_BEDROCK"), reason="EMBOW_LIVE_BEDROCK is not set"
    ),
]


@pytest.mark.parametrize(
    ("name", "ndims"),
    [
        ("amazon.titan-embed-text-v1", 1536),
        ("amazon.titan-embed-text-v2:0", 1024),
        ("cohere.embed-english-v3", 1024),
    ],
)
def test_the_vendor_answers_as_expected(name, ndims):
    """Length, order and meaning are right."""
    function = get_registry().get("bedrock-text").create(name=name)
    vectors = function.compute_source_embeddings(["The cat sleeps.", "Taxes are due in May."])
    query = function.compute_query_embeddings("a sleeping animal")[0]
    assert vectors.shape == (2, ndims)
    assert vectors[0] @ query > vectors[1] @ query
