"""What goes over the wire, and what comes back."""

import numpy as np
import pytest

from embow.embeddings.types import CallRecord, set_current_call
from embow.errors import BadOutputError, ConfigurationError
from embow_testing import faults
from embow_testing.vectors import embed_values


def test_vectors_come_back_in_order_as_float32(make):
    """One float32 vector a text, in the order of the texts."""
    texts = ["one", "two", "three"]
    vectors = make().generate_embeddings(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, embed_values(texts, 1024))


def test_documents_and_queries_have_their_own_input_type(make, server):
    """The two roles are told to Cohere."""
    function = make()
    function.compute_source_embeddings(["a"])
    function.compute_query_embeddings("a")
    types = [request.payload["input_type"] for request in server.requests]
    assert types == ["search_document", "search_query"]


def test_other_input_types_are_sent(make, server):
    """Classification and clustering are roles, too."""
    function = make(source_input_type="clustering", query_input_type="classification")
    function.compute_source_embeddings(["a"])
    function.compute_query_embeddings("a")
    types = [request.payload["input_type"] for request in server.requests]
    assert types == ["clustering", "classification"]


def test_an_unknown_input_type_is_refused(make):
    """A misspelt role is an error when the function is made."""
    with pytest.raises(ConfigurationError, match="source_input_type"):
        make(source_input_type="documents")


@pytest.mark.parametrize(("count", "sizes"), [(96, [96]), (97, [96, 1]), (200, [96, 96, 8])])
def test_requests_hold_at_most_96_texts(make, server, count, sizes):
    """A direct call with more texts than a request holds is split."""
    texts = [f"text {i}" for i in range(count)]
    vectors = make().generate_embeddings(texts)
    assert [len(request.items) for request in server.requests] == sizes
    np.testing.assert_array_equal(vectors, embed_values(texts, 1024))


def test_no_texts_make_no_request(make, server):
    """An empty list gives an empty array of the right width."""
    assert make().compute_source_embeddings([]).shape == (0, 1024)
    assert server.requests == []


@pytest.mark.parametrize("end", ["NONE", "START", "END"])
def test_truncate_is_sent_where_given(make, server, end):
    """Cohere is told which end to drop."""
    make(truncate=end).generate_embeddings(["a"])
    make().generate_embeddings(["a"])
    assert [request.payload.get("truncate") for request in server.requests] == [end, None]


@pytest.mark.parametrize(
    ("end", "limit"), [(None, 512), ("NONE", 512), ("START", None), ("END", None)]
)
def test_the_length_of_a_text_is_limited_unless_cohere_cuts_it(make, end, limit):
    """Where Cohere is told to cut, nobody else does."""
    assert make(truncate=end).limits().max_tokens_per_item == limit


@pytest.mark.parametrize(
    ("name", "ndims"),
    [("embed-english-v3.0", 1024), ("embed-english-light-v3.0", 384), ("embed-v4.0", 1536)],
)
def test_known_models_know_their_length_without_a_request(make, server, name, ndims):
    """The length of Cohere's own models is free and right."""
    function = make(name=name)
    assert function.ndims() == ndims
    assert server.requests == []
    assert function.generate_embeddings(["a"]).shape == (1, ndims)


def test_an_unknown_model_is_asked_once_a_process(make, server):
    """A private model's length is asked for, once."""
    assert [make(name="mine").ndims(), make(name="mine").ndims()] == [8, 8]
    assert len(server.requests) == 1


def test_a_shorter_vector_is_asked_for_from_v4_on(make, server):
    """The length reaches the server and comes back."""
    function = make(name="embed-v4.0", output_dimension=256)
    assert function.generate_embeddings(["a"]).shape == (1, function.ndims())
    assert server.requests[0].payload["output_dimension"] == 256


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"output_dimension": 256}, "always has 1024"),
        ({"name": "embed-v4.0", "output_dimension": 4096}, "at most 1536"),
    ],
)
def test_impossible_lengths_are_refused_at_once(make, settings, said):
    """A length the model cannot have is an error before any call."""
    with pytest.raises(ConfigurationError, match=said):
        make(**settings)


def test_roles_truncation_and_length_are_part_of_the_identity(make):
    """What changes vectors changes the fingerprint, and nothing else does."""
    default = make()
    assert (
        default.fingerprint() == make(output_dimension=1024, api_key="k", timeout=1).fingerprint()
    )
    others = (
        {"source_input_type": "clustering"},
        {"query_input_type": "clustering"},
        {"truncate": "START"},
        {"name": "embed-multilingual-v3.0"},
    )
    fingerprints = {make(**other).fingerprint() for other in others}
    assert len(fingerprints | {default.fingerprint()}) == 5


def test_usage_and_requests_are_reported(make):
    """The pipeline learns what a call cost."""
    record = CallRecord()
    set_current_call(record)
    try:
        make().generate_embeddings(["abcd"] * 97)
    finally:
        set_current_call(None)
    assert (record.tokens, record.requests) == (97, 2)


def test_older_models_are_asked_for_numbers(make, server):
    """v2 models know no base64."""
    function = make(name="embed-multilingual-v2.0")
    server.protocol.dims = 768
    np.testing.assert_allclose(
        function.generate_embeddings(["a"]), embed_values(["a"], 768), atol=1e-7
    )
    assert server.requests[0].payload["embedding_types"] == ["float"]


@pytest.mark.parametrize("fault", [faults.short_answer(), faults.wrong_dimension(5)])
def test_an_answer_of_the_wrong_shape_is_refused(make, server, fault):
    """Too few vectors, or vectors of another length than the model's, are an error."""
    server.script(fault)
    with pytest.raises(BadOutputError):
        make().generate_embeddings(["a", "b"])
