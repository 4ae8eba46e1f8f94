"""What goes over the wire, and what comes back."""

import base64
import json

import numpy as np
import pytest

from embow.embeddings.types import CallRecord, RateStatus, set_current_call
from embow.errors import BadOutputError, ConfigurationError
from embow_openai import OpenAIEmbeddings, models, wire
from embow_testing import faults
from embow_testing.server import EmbeddingServer
from embow_testing.vectors import embed_values
from openai_protocol import OpenAIProtocol


def test_vectors_come_back_in_order_as_float32(make):
    """One float32 vector a text, in the order of the texts."""
    texts = ["one", "two", "three"]
    vectors = make().generate_embeddings(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, embed_values(texts, 8))


def test_the_request_asks_for_base64_and_nothing_that_was_not_given(make, server):
    """Only model, input and encoding are sent by default."""
    make().generate_embeddings(["a"])
    sent = {"model": "tiny", "input": ["a"], "encoding_format": "base64"}
    assert server.requests[0].payload == sent


def test_dimensions_and_user_are_sent_where_given(make, server):
    """The optional parameters reach the server."""
    vectors = make(name="text-embedding-3-small", dim=16, user="u1").generate_embeddings(["a"])
    payload = server.requests[0].payload
    assert (payload["dimensions"], payload["user"]) == (16, "u1")
    assert vectors.shape == (1, 16)


def test_queries_are_embedded_like_documents(make):
    """OpenAI's models know no roles."""
    function = make()
    query = function.compute_query_embeddings("a b")
    np.testing.assert_array_equal(query, function.compute_source_embeddings(["a b"]))


def test_each_role_has_its_prompt_and_fields(make, server):
    """Queries and documents go out as the model wants them told apart."""
    function = make(
        prompts={"query": "query: ", "document": "passage: "},
        extra_body={"query": {"input_type": "query"}},
        encoding_format="float",
    )
    function.compute_source_embeddings(["a"])
    function.compute_query_embeddings("a")
    document, query = (request.payload for request in server.requests)
    common = {"model": "tiny", "encoding_format": "float"}
    assert document == {**common, "input": ["passage: a"]}
    assert query == {**common, "input": ["query: a"], "input_type": "query"}


def test_prompts_and_fields_are_identity_and_only_where_given():
    """What changes the vectors tells functions apart; how they travel does not."""
    plain = OpenAIEmbeddings.create()
    assert not {"prompts", "extra_body"} & plain.identity().keys()
    assert OpenAIEmbeddings.create(encoding_format="float").identity() == plain.identity()
    for settings in ({"prompts": {"query": "q: "}}, {"extra_body": {"document": {"task": "x"}}}):
        assert OpenAIEmbeddings.create(**settings).fingerprint() != plain.fingerprint()


@pytest.mark.parametrize(
    "settings", [{"prompts": {"quary": "q"}}, {"extra_body": {"query": {"model": "other"}}}]
)
def test_wrong_roles_and_fields_are_refused(settings):
    """A misspelt role would do nothing; a field that has an argument would work against it."""
    with pytest.raises(ConfigurationError):
        OpenAIEmbeddings.create(**settings)


def test_another_model_that_answers_is_named_once(make, server):
    """Vectors of another model under this name are told of, and kept."""
    body = {"model": "all-MiniLM-L6-v2", "data": [{"embedding": [1.0] * 8}]}
    server.always(faults.reply(body))
    function = make(name="never-deployed")
    with pytest.warns(UserWarning, match=r"'all-MiniLM-L6-v2' answered"):
        function.generate_embeddings(["a"])
    function.generate_embeddings(["b"])


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("text-embedding-ada-002-v2", "text-embedding-ada-002"),
        ("/models/bge-m3", "BAAI/bge-m3"),
        ("nomic-embed-text:latest", "nomic-embed-text"),
    ],
)
def test_versions_and_folders_are_the_same_model(model, asked):
    """What servers add to a name says nothing of another model."""
    assert models.is_named(model, asked)
    assert not models.is_named(model, "another")


def test_vectors_that_were_only_cut_get_length_one(make, server):
    """OpenAI normalises what it shortens; other servers may not."""
    server.always(faults.reply({"data": [{"embedding": [3.0, 4.0]}]}))
    vectors = make(dim=2).generate_embeddings(["a"])
    np.testing.assert_allclose(vectors, [[0.6, 0.8]], rtol=1e-6)
    assert make().generate_embeddings(["a"]).tolist() == [[3.0, 4.0]]


def test_a_declared_input_length_is_a_limit(make):
    """Servers that cut in silence are told of here."""
    assert make(max_input_tokens=256).limits().max_tokens_per_item == 256


@pytest.mark.parametrize(("count", "sizes"), [(2048, [2048]), (2049, [2048, 1]), (1, [1])])
def test_requests_hold_at_most_2048_inputs(make, server, count, sizes):
    """A direct call with more texts than a request holds is split."""
    texts = [f"text {i}" for i in range(count)]
    vectors = make().compute_source_embeddings(texts)
    assert [len(request.items) for request in server.requests] == sizes
    np.testing.assert_array_equal(vectors, embed_values(texts, 8))


def test_requests_hold_at_most_300000_tokens(make, server):
    """Long texts are spread over requests the server accepts."""
    make().compute_source_embeddings(["word " * 4800] * 60)
    assert len(server.requests) > 1
    assert {request.status for request in server.requests} == {200}


def test_batch_size_lowers_the_inputs_of_a_request(make, server):
    """A server that takes ten inputs gets ten."""
    make(batch_size=10).compute_source_embeddings(["x"] * 25)
    assert [len(request.items) for request in server.requests] == [10, 10, 5]


def test_no_texts_make_no_request(make, server):
    """An empty list gives an empty array of the right width."""
    vectors = make(dim=4).compute_source_embeddings([])
    assert vectors.shape == (0, 4)
    assert server.requests == []


@pytest.mark.parametrize(
    ("name", "ndims"),
    [
        ("text-embedding-ada-002", 1536),
        ("text-embedding-3-small", 1536),
        ("text-embedding-3-large", 3072),
    ],
)
def test_openai_models_know_their_length_without_a_request(make, server, name, ndims):
    """The length of OpenAI's own models is free and right."""
    function = make(name=name)
    assert function.ndims() == ndims
    assert server.requests == []
    assert function.generate_embeddings(["a"]).shape == (1, ndims)


def test_an_unknown_model_is_asked_once_a_process(make, server):
    """Functions of one server and model share one question."""
    assert [make().ndims(), make().ndims()] == [8, 8]
    assert len(server.requests) == 1


def test_a_table_keeps_the_length_of_an_unknown_model(make, server):
    """The binding holds the length, so that a function made from it asks nothing."""
    record = make().to_binding("text", "vector")
    assert record["ndims"] == 8
    reopened = make(name="tiny-reopened")
    reopened.remember_ndims(record["ndims"])
    server.forget()
    assert reopened.ndims() == 8
    assert server.requests == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "text-embedding-ada-002", "dim": 256}, "always has 1536"),
        ({"name": "text-embedding-3-small", "dim": 3072}, "at most 1536"),
        ({"name": "text-embedding-3-small", "dim": 0}, "greater than 0"),
    ],
)
def test_impossible_lengths_are_refused_at_once(make, settings, said):
    """A length the model cannot have is an error before any call."""
    with pytest.raises(ConfigurationError, match=said):
        make(**settings)


def test_ada_accepts_its_own_length_and_does_not_send_it(make, server):
    """ada-002 has no ``dimensions`` parameter."""
    function = make(name="text-embedding-ada-002", dim=1536)
    assert function.generate_embeddings(["a"]).shape == (1, 1536)
    assert "dimensions" not in server.requests[0].payload


def test_the_native_length_said_or_not_is_one_identity(make):
    """Vectors that are equal have equal fingerprints, others have not."""
    default = make(name="text-embedding-3-small")
    assert default.fingerprint() == make(name="text-embedding-3-small", dim=1536).fingerprint()
    assert default.fingerprint() != make(name="text-embedding-3-small", dim=512).fingerprint()
    assert default.fingerprint() != make(name="text-embedding-3-large", dim=1536).fingerprint()


def test_where_and_how_a_server_is_called_is_no_part_of_the_identity(make):
    """Server, key, headers, timeout and user do not change vectors."""
    other = OpenAIEmbeddings.create(
        name="tiny",
        base_url="http://elsewhere/v1",
        api_key="other",
        timeout=1,
        user="u",
        batch_size=3,
        default_headers={"x": "y"},
    )
    assert other.fingerprint() == make().fingerprint()


def test_usage_requests_and_rate_limits_are_reported():
    """The pipeline learns what a call cost and what is left."""
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "-1",
        "x-ratelimit-remaining-tokens": "900",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    record = CallRecord()
    with EmbeddingServer(OpenAIProtocol(dims=4, headers=headers)) as server:
        function = OpenAIEmbeddings.create(name="t", base_url=server.url, batch_size=2)
        set_current_call(record)
        try:
            function.compute_source_embeddings(["abcd", "abcdefgh", "a"])
        finally:
            set_current_call(None)
    assert (record.tokens, record.requests) == (1 + 2 + 1, 2)
    assert record.rate == RateStatus(500, 499, 0.12, None, 900, 360.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12ms", 0.012), ("6m0s", 360.0), ("1h2m3.5s", 3723.5), ("1.5", 1.5), ("", None), ("x", None)],
)
def test_durations(text, seconds):
    """Every form of a reset header is read."""
    headers = {"x-ratelimit-reset-requests": text, "x-ratelimit-limit-requests": "1"}
    assert wire.read_rate(headers).reset_requests == seconds


def test_numbers_are_understood_too():
    """A server that ignores the base64 request is read as well."""
    body = json.dumps({"data": [{"index": 0, "embedding": [0.5, 1.0]}]}).encode()
    answer = wire.read_answer(body, 1)
    assert (answer.vectors.tolist(), answer.tokens) == ([[0.5, 1.0]], 0)


def test_rows_are_put_in_the_order_of_their_index():
    """A server may answer out of order, if it numbers its rows."""
    rows = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    answer = wire.read_answer(json.dumps({"data": rows}).encode(), 2)
    assert answer.vectors.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize("numbers", [[None, None], [0.0, 1.0]])
def test_rows_without_numbers_stay_in_order(numbers):
    """So do rows whose numbers are written as fractions."""
    rows = [{"index": n, "embedding": [float(at)]} for at, n in enumerate(numbers)]
    answer = wire.read_answer(json.dumps({"data": rows}).encode(), 2)
    assert answer.vectors.tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize(
    "numbers", [[0, 0], [1, 2], ["0", "1"], [0, None], [1, 1], [-1, 0], [0, [1]]]
)
def test_numbers_that_name_no_input_are_refused(numbers):
    """Which vector belongs to which text would be a guess."""
    rows = [{"index": n, "embedding": [1.0]} for n in numbers]
    with pytest.raises(BadOutputError, match="which input"):
        wire.read_answer(json.dumps({"data": rows}).encode(), 2)


@pytest.mark.parametrize(
    "row", [{"index": 0}, {"embedding": 5}, {"embedding": ["x"]}, 5, "x", None]
)
def test_a_row_that_is_none_is_named(row):
    """What is no vector is bad output, which is asked for again, and not an internal error."""
    with pytest.raises(BadOutputError, match="vector"):
        wire.read_answer(json.dumps({"data": [row]}).encode(), 1)


@pytest.mark.parametrize("usage", ["x", 5, {"total_tokens": "x"}, {"total_tokens": -1}, []])
def test_a_usage_that_cannot_be_read_costs_no_vector(usage):
    """What was paid for is kept."""
    body = {"data": [{"index": 0, "embedding": [1.0]}], "usage": usage}
    answer = wire.read_answer(json.dumps(body).encode(), 1)
    assert (answer.vectors.tolist(), answer.tokens) == ([[1.0]], 0)


@pytest.mark.parametrize(
    "answer",
    [
        {"data": []},
        {},
        [],
        {"data": [{"embedding": [1.0]}]},
        {"data": [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]},
        {"data": [{"embedding": base64.b64encode(b"abcde").decode()}] * 2},
    ],
)
def test_unusable_answers_are_refused(answer):
    """Missing, ragged and torn vectors never pass."""
    with pytest.raises(BadOutputError):
        wire.read_answer(json.dumps(answer).encode(), 2)


@pytest.mark.parametrize("fault", [faults.short_answer(), faults.wrong_dimension(5)])
def test_an_answer_of_the_wrong_shape_is_refused(make, server, fault):
    """Too few vectors, or vectors of another length than the model's, are an error."""
    function = make()
    function.ndims()
    function.remember_ndims(8)
    server.script(fault)
    with pytest.raises(BadOutputError):
        function.generate_embeddings(["a", "b"])
