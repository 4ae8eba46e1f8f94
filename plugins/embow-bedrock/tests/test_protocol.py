"""What goes over the wire, and what comes back."""

import json
import threading

import numpy as np
import pytest

from embow.embeddings import FailureKind
from embow.embeddings.types import CallRecord, set_current_call
from embow.errors import (
    BadOutputError,
    ConfigurationError,
    InputTooLongError,
    PermanentError,
)
from embow_bedrock import BedRockText
from embow_testing import faults
from embow_testing.vectors import embed_values

TITAN_1, TITAN_2 = "amazon.titan-embed-text-v1", "amazon.titan-embed-text-v2:0"
ENGLISH, MULTILINGUAL = "cohere.embed-english-v3", "cohere.embed-multilingual-v3"
V4 = "cohere.embed-v4:0"
G1, IMAGE = "amazon.titan-embed-g1-text-02", "amazon.titan-embed-image-v1"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
NDIMS = {
    TITAN_1: 1536,
    TITAN_2: 1024,
    G1: 1536,
    IMAGE: 1024,
    NOVA: 3072,
    ENGLISH: 1024,
    MULTILINGUAL: 1024,
    V4: 1536,
}


@pytest.mark.parametrize(("name", "ndims"), NDIMS.items())
def test_every_model_answers_in_order_as_float32(make, server, name, ndims):
    """One float32 vector a text, in the order of the texts, of the length said before."""
    function, texts = make(name=name), ["one", "two", "three"]
    assert function.ndims() == ndims
    assert server.requests == []
    vectors = function.generate_embeddings(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, embed_values(texts, ndims), atol=1e-7)


def test_titan_is_sent_one_text_and_nothing_else(make, server):
    """The first Titan knows no other parameter."""
    make().generate_embeddings(["a"])
    assert server.requests[0].path == f"/model/{TITAN_1}/invoke"
    assert server.requests[0].payload == {"inputText": "a"}


def test_titan_calls_run_at_the_same_time(make, server):
    """A direct call with many texts sends many calls at once, and keeps their order."""
    server.always(faults.hang())
    answer = []
    texts = [f"text {i}" for i in range(16)]
    function = make(name=TITAN_2, dim=256)
    thread = threading.Thread(target=lambda: answer.append(function.generate_embeddings(texts)))
    thread.start()
    server.wait_for(16)
    server.release()
    thread.join()
    np.testing.assert_allclose(answer[0], embed_values(texts, 256), atol=1e-7)
    assert server.peak_concurrency == 16


@pytest.mark.parametrize(("count", "sizes"), [(96, [96]), (97, [96, 1])])
def test_cohere_calls_hold_at_most_96_texts(make, server, count, sizes):
    """A direct call with more texts than a request holds is split."""
    texts = [f"text {i}" for i in range(count)]
    vectors = make(name=ENGLISH).generate_embeddings(texts)
    assert sorted((len(r.items) for r in server.requests), reverse=True) == sizes
    np.testing.assert_allclose(vectors, embed_values(texts, 1024), atol=1e-7)


@pytest.mark.parametrize("name", [ENGLISH, V4])
def test_cohere_is_told_the_role(make, server, name):
    """Documents and queries differ."""
    function = make(name=name)
    function.compute_source_embeddings(["a"])
    function.compute_query_embeddings("a")
    types = [request.payload["input_type"] for request in server.requests]
    assert types == ["search_document", "search_query"]


def test_nova_is_told_the_purpose_and_cuts_nothing(make, server):
    """Documents are indexed, queries retrieve, and too long texts are to be refused."""
    function = make(name=NOVA, dim=256)
    function.compute_source_embeddings(["a"])
    function.compute_query_embeddings("a")
    sent = [request.payload["singleEmbeddingParams"] for request in server.requests]
    assert [part.pop("embeddingPurpose") for part in sent] == ["GENERIC_INDEX", "TEXT_RETRIEVAL"]
    text = {"truncationMode": "NONE", "value": "a"}
    assert sent == [{"embeddingDimension": 256, "text": text}] * 2


def test_titan_for_images_takes_text_and_a_length(make, server):
    """Its length has a place of its own."""
    assert make(name=IMAGE, dim=384).generate_embeddings(["a"]).shape == (1, 384)
    length = {"outputEmbeddingLength": 384}
    assert server.requests[0].payload == {"inputText": "a", "embeddingConfig": length}


def test_a_profile_without_a_models_name_is_told_it(make, server):
    """Costs are tagged with application inference profiles, whose ARN says nothing."""
    function = make(name=PROFILE, model=TITAN_2)
    assert function.generate_embeddings(["a"]).shape == (1, 1024)
    assert "application-inference-profile" in server.requests[0].path
    assert function.fingerprint() == make(name=TITAN_2).fingerprint()
    assert make(name=G1).fingerprint() == make(name=TITAN_1).fingerprint()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": PROFILE}, "add model="),
        ({"name": TITAN_2, "model": V4}, "leave model out"),
        ({"name": PROFILE, "model": "twelvelabs.marengo-embed-2-7-v1:0"}, "marengo"),
    ],
)
def test_a_model_that_stays_unknown_is_explained(make, settings, said):
    """What to add, and what to leave out."""
    with pytest.raises(ConfigurationError, match=said):
        make(**settings)


@pytest.mark.parametrize(("name", "most"), [(ENGLISH, 2048), (TITAN_2, 50_000), (NOVA, 8192)])
def test_a_text_of_too_many_characters_costs_no_call(make, server, name, most):
    """AWS counts characters beside tokens; what is cut for that keeps as many as it may."""
    function = make(name=name)
    with pytest.raises(InputTooLongError, match="Text 1 has") as caught:
        function.compute_source_embeddings(["a", "b" * (most + 1)])
    failure = function.classify(caught.value)
    assert (failure.kind, failure.index) == (FailureKind.TOO_LONG, 1)
    assert server.requests == []
    assert len(function.truncate("b" * (most + 1), 128_000)) == most


@pytest.mark.parametrize(
    "body",
    [
        [],
        "x",
        {"embedding": "x"},
        {"embedding": {}},
        {"embedding": [[1.0]]},
        {"embedding": ["x"]},
        {"embeddings": 5},
        {"embeddings": [5]},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", [TITAN_1, NOVA, ENGLISH, V4])
def test_answers_of_another_form_are_bad_output(make, server, name, body):
    """What cannot be read is said to be so, never an error of the inside."""
    server.script(faults.reply(json.dumps(body).encode()))
    with pytest.raises(BadOutputError):
        make(name=name).generate_embeddings(["a"])


def test_a_count_that_cannot_be_read_costs_no_vector(make, server):
    """What was paid for is kept."""
    server.script(faults.reply({"embedding": [1.0] * 1536, "inputTextTokenCount": "x"}))
    assert make().generate_embeddings(["a"]).shape == (1, 1536)


def test_an_answer_without_end_is_refused_and_not_asked_for_again(make, server, monkeypatch):
    """What is longer than an answer can be is read no further."""
    monkeypatch.setattr("embow.embeddings.transport.MOST_BYTES", 100_000)
    server.always(faults.reply(b" " * 3_000_000))
    with pytest.raises(PermanentError, match="Send fewer inputs"):
        make().compute_source_embeddings_with_retry(["a"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(("name", "field"), [(TITAN_2, "dimensions"), (V4, "output_dimension")])
def test_a_shorter_vector_is_asked_for(make, server, name, field):
    """The length reaches the model and comes back."""
    function = make(name=name, dim=256)
    assert function.generate_embeddings(["a"]).shape == (1, function.ndims())
    assert server.requests[0].payload[field] == 256


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dim": 512}, "1536 dimensions"),
        ({"name": TITAN_2, "dim": 100}, "256 or 512 or 1024"),
        ({"name": "amazon.titan-text-express-v1"}, "no text model"),
        ({"name": "cohere.embed-v40"}, "no text model"),
        ({"runtime": False}, "cannot embed"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make, settings, said):
    """Impossible settings are an error before any call."""
    with pytest.raises(ConfigurationError, match=said):
        make(**settings)


@pytest.mark.parametrize(
    "name",
    [
        "us.cohere.embed-v4:0",
        "global.cohere.embed-v4:0",
        "cohere.embed-v4",
        "arn:aws:bedrock:us-east-1::foundation-model/cohere.embed-v4:0",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.cohere.embed-v4:0",
    ],
)
def test_one_model_under_several_names_is_one_identity(make, server, name):
    """Profiles and ARNs lead to the same model, and are called as given."""
    function = make(name=name)
    assert function.fingerprint() == make(name=V4).fingerprint()
    assert function.generate_embeddings(["a"]).shape == (1, 1536)
    assert server.requests[0].path == f"/model/{name}/invoke"


def test_the_road_to_a_model_is_no_part_of_the_identity(make):
    """Region, profile and role change no vectors; model, length and roles do."""
    default = make()
    same = make(region="eu-west-1", profile_name="p", assumed_role="r", dim=1536, timeout=1)
    assert default.fingerprint() == same.fingerprint()
    others = ({"name": TITAN_2}, {"name": TITAN_2, "dim": 256}, {"query_input_type": "clustering"})
    fingerprints = {make(**other).fingerprint() for other in others}
    assert len(fingerprints | {default.fingerprint()}) == 4


def test_quotas_are_counted_by_region_and_role(make):
    """Functions that do not share a quota do not share a limiter."""
    settings = ({}, {"region": "eu-west-1"}, {"profile_name": "p"}, {"assumed_role": "r"})
    assert len({make(**each).account() for each in settings}) == 4


def test_no_texts_make_no_call(make, server):
    """An empty list gives an empty array of the right width."""
    assert make().compute_source_embeddings([]).shape == (0, 1536)
    assert make().compute_query_embeddings([]).shape == (0, 1536)
    assert server.requests == []


@pytest.mark.parametrize(("name", "calls"), [(TITAN_1, 3), (ENGLISH, 1)])
def test_tokens_and_calls_are_reported(make, name, calls):
    """The pipeline learns what a call cost, from the body or from the header."""
    record = CallRecord()
    set_current_call(record)
    try:
        make(name=name).generate_embeddings(["abcd", "abcde", "a"])
    finally:
        set_current_call(None)
    assert (record.tokens, record.requests) == (1 + 2 + 1, calls)


@pytest.mark.parametrize("name", [TITAN_1, ENGLISH])
@pytest.mark.parametrize("fault", [faults.short_answer(), faults.wrong_dimension(5)])
def test_an_answer_of_the_wrong_shape_is_refused(make, server, name, fault):
    """Too few vectors, or vectors of another length than the model's, are an error."""
    server.script(fault)
    with pytest.raises(BadOutputError):
        make(name=name).generate_embeddings(["a"])


def test_defaults_are_the_documented_ones():
    """A function made without arguments is what users know."""
    function = BedRockText.create()
    given = (function.name, function.region, function.role_session_name, function.max_retries)
    assert given == (TITAN_1, "us-east-1", "embow-embeddings", 7)
