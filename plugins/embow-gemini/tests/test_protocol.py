"""What goes over the wire, and what comes back."""

import numpy as np
import pytest

from embow.embeddings.types import CallRecord, set_current_call
from embow.errors import BadOutputError, ConfigurationError
from embow_gemini import GeminiText
from embow_testing import faults
from embow_testing.vectors import embed_values


def sent(server, number=0):
    return server.requests[number].payload["requests"][0]


def test_vectors_come_back_in_order_as_float32(make):
    """One float32 vector a text, in the order of the texts."""
    texts = ["one", "two", "three"]
    vectors = make().generate_embeddings(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, embed_values(texts, 3072), atol=1e-7)


@pytest.mark.parametrize("name", ["gemini-embedding-001", "gemini-embedding-2"])
def test_every_model_gives_one_vector_a_text(make, name):
    """Texts are never melted into one vector, not by multimodal models either."""
    assert make(name=name).generate_embeddings(["a", "b"]).shape == (2, 3072)


def test_documents_and_queries_have_their_own_task_type(make, server):
    """The two roles are told to Google."""
    function = make()
    function.compute_source_embeddings(["a"])
    function.compute_query_embeddings("a")
    types = [sent(server, number)["taskType"] for number in (0, 1)]
    assert types == ["RETRIEVAL_DOCUMENT", "RETRIEVAL_QUERY"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("retrieval_query", "RETRIEVAL_QUERY"),
        ("retrieval_document", "RETRIEVAL_DOCUMENT"),
        ("semantic_similarity", "SEMANTIC_SIMILARITY"),
        ("classification", "CLASSIFICATION"),
        ("clusering", "CLUSTERING"),
        ("clustering", "CLUSTERING"),
        ("CODE_RETRIEVAL_QUERY", "CODE_RETRIEVAL_QUERY"),
    ],
)
def test_all_task_types_of_the_documentation_work(make, server, given, wanted):
    """Also the misspelt one, and in any case."""
    function = make(source_task_type=given, query_task_type=given)
    function.compute_source_embeddings(["a"])
    function.compute_query_embeddings("a")
    assert {sent(server, number)["taskType"] for number in (0, 1)} == {wanted}


def test_the_misspelt_task_type_is_the_same_identity(make):
    """Both spellings make the same vectors."""
    one, other = make(source_task_type="clusering"), make(source_task_type="clustering")
    assert one.fingerprint() == other.fingerprint()


def test_an_unknown_task_type_is_refused(make):
    """The error lists those that exist."""
    with pytest.raises(ConfigurationError, match="semantic_similarity"):
        make(source_task_type="similarity")


def test_the_title_goes_with_documents_only(make, server):
    """Queries have no title."""
    function = make(title="Annual report")
    function.compute_source_embeddings(["a"])
    function.compute_query_embeddings("a")
    assert [sent(server, number).get("title") for number in (0, 1)] == ["Annual report", None]


@pytest.mark.parametrize(
    ("task", "before"),
    [
        ("retrieval_query", "task: search result | query: "),
        ("retrieval_document", "title: none | text: "),
        ("semantic_similarity", "task: sentence similarity | query: "),
        ("classification", "task: classification | query: "),
        ("clustering", "task: clustering | query: "),
        ("question_answering", "task: question answering | query: "),
        ("fact_verification", "task: fact checking | query: "),
        ("code_retrieval_query", "task: code retrieval | query: "),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        "gemini-embedding-2",
        "gemini-embedding-2-preview",
        "gemini-embedding-2-preview-11-2026",
        "gemini-embedding-3",
        "publishers/google/models/gemini-embedding-2",
    ],
)
def test_a_model_that_ignores_task_types_is_told_in_the_text(make, server, name, task, before):
    """The prefixes are those of Google's documentation, and no task type is sent beside."""
    function = make(name=name, source_task_type=task, query_task_type=task, dim=8)
    function.compute_source_embeddings(["a {b}"])
    function.compute_query_embeddings("a {b}")
    for number in (0, 1):
        request = sent(server, number)
        assert request["content"]["parts"] == [{"text": before + "a {b}"}]
        assert "taskType" not in request


def test_roles_differ_where_the_text_tells_them(make, server):
    """A query and a document of the same words have other vectors, and a title counts."""
    function = make(name="gemini-embedding-2", title="Annual report", dim=8)
    document = function.compute_source_embeddings(["a"])
    query = function.compute_query_embeddings("a")
    assert not np.allclose(document, query)
    assert sent(server)["content"]["parts"] == [{"text": "title: Annual report | text: a"}]
    assert "title" not in sent(server)


def test_what_stands_before_a_text_is_part_of_the_identity(make):
    """Vectors made with other prefixes are other vectors; models told otherwise have none."""
    assert make(name="gemini-embedding-2", title="T").identity()["prefixes"] == {
        "document": "title: T | text: ",
        "query": "task: search result | query: ",
    }
    assert "prefixes" not in make().identity()


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"embeddings": "x"},
        {"embeddings": [5]},
        {"embeddings": ["x"]},
        {"embeddings": [None]},
        {"embeddings": [{}]},
        {"embeddings": [{"values": "x"}]},
        {"embeddings": [{"values": [[1.0]]}]},
        {"embeddings": [{"values": ["x"]}]},
        {"embeddings": {"values": [1.0]}},
        {"error": "x"},
    ],
    ids=str,
)
def test_answers_of_another_form_are_bad_output(make, server, body):
    """What cannot be read is said to be so, never an error of the inside."""
    function = make(name="small")
    server.script(faults.reply(body))
    with pytest.raises(BadOutputError):
        function.generate_embeddings(["a"])


def test_a_title_needs_the_document_task(make):
    """Google takes a title with one task type only."""
    with pytest.raises(ConfigurationError, match="retrieval_document"):
        make(title="t", source_task_type="clustering")


@pytest.mark.parametrize(("count", "sizes"), [(100, [100]), (101, [100, 1]), (250, [100, 100, 50])])
def test_requests_hold_at_most_100_texts(make, server, count, sizes):
    """A direct call with more texts than a request holds is split."""
    texts = [f"text {i}" for i in range(count)]
    vectors = make(name="small").compute_source_embeddings(texts)
    assert [len(request.items) for request in server.requests] == sizes
    np.testing.assert_allclose(vectors, embed_values(texts, 8), atol=1e-6)


def test_no_texts_make_no_request(make, server):
    """An empty list gives an empty array of the right width."""
    assert make().compute_source_embeddings([]).shape == (0, 3072)
    assert make().compute_query_embeddings([]).shape == (0, 3072)
    assert server.requests == []


def test_shorter_vectors_have_length_one(make, server):
    """Google leaves shortened vectors unnormalised; they are normalised here."""
    function = make(dim=768)
    vectors = function.generate_embeddings(["a", "b"])
    assert sent(server)["outputDimensionality"] == 768
    assert vectors.shape == (2, function.ndims())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_a_zero_vector_stays_zero(make, server):
    """Normalising does not turn zeros into NaN; the pipeline judges them."""
    server.script(faults.zeros())
    assert not make(dim=4).generate_embeddings(["a"]).any()


@pytest.mark.parametrize("name", ["gemini-embedding-001", "models/gemini-embedding-001"])
def test_known_models_know_their_length_without_a_request(make, server, name):
    """The length is free, with or without the prefix, which changes no identity."""
    function = make(name=name)
    assert function.ndims() == 3072
    assert server.requests == []
    assert function.fingerprint() == make(dim=3072).fingerprint()


def test_an_unknown_model_is_asked_once_a_process(make, server):
    """The length of another model is asked for, once."""
    assert [make(name="mine").ndims(), make(name="mine").ndims()] == [8, 8]
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["models/embedding-001", "embedding-001", "text-embedding-004"])
def test_models_google_has_switched_off_become_the_current_one(name):
    """The documented name is accepted, and what happens is said."""
    with pytest.warns(UserWarning, match="switched off"):
        function = GeminiText.create(name=name)
    assert function.name == "gemini-embedding-001"
    assert function.ndims() == 3072


def test_a_length_the_model_does_not_have_is_refused(make):
    """An impossible length is an error before any call."""
    with pytest.raises(ConfigurationError, match="at most 3072"):
        make(dim=4096)


def test_tasks_title_and_length_are_part_of_the_identity(make):
    """What changes vectors changes the fingerprint, and nothing else does."""
    default = make()
    assert default.fingerprint() == make(api_key="k", timeout=1, project="p").fingerprint()
    others = (
        {"source_task_type": "clustering"},
        {"query_task_type": "clustering"},
        {"title": "t"},
        {"dim": 768},
        {"name": "gemini-embedding-2"},
    )
    fingerprints = {make(**other).fingerprint() for other in others}
    assert len(fingerprints | {default.fingerprint()}) == 6


def test_requests_are_counted(make):
    """The pipeline learns how many requests a call took."""
    record = CallRecord()
    set_current_call(record)
    try:
        make(name="small").compute_source_embeddings(["a"] * 101)
    finally:
        set_current_call(None)
    assert record.requests == 2


@pytest.mark.parametrize("fault", [faults.short_answer(), faults.wrong_dimension(5)])
def test_an_answer_of_the_wrong_shape_is_refused(make, server, fault):
    """Too few vectors, or vectors of another length than the model's, are an error."""
    server.script(fault)
    with pytest.raises(BadOutputError):
        make().generate_embeddings(["a", "b"])
