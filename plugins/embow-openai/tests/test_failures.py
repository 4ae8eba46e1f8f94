"""Every way a call can fail, through the real SDK, and what it is taken for."""

import gzip
import json

import openai
import pytest

from embow.embeddings import FailureKind
from embow.embeddings._retry import RetryPolicy, attempt_call
from embow.errors import AuthenticationError, BadOutputError, PermanentError
from embow_testing import faults
from embow_testing.faults import Refusal, refuse

AUTH, QUOTA, RATE = FailureKind.AUTH, FailureKind.QUOTA, FailureKind.RATE_LIMITED
TRANSIENT, PERMANENT = FailureKind.TRANSIENT, FailureKind.PERMANENT
TOO_LONG, TOO_LARGE, BAD = FailureKind.TOO_LONG, FailureKind.TOO_LARGE, FailureKind.BAD_INPUT

CASES = {
    "unauthorized": (faults.unauthorized(), AUTH, None, None),
    "forbidden": (faults.forbidden(), AUTH, None, None),
    "quota": (faults.quota_exceeded(), QUOTA, None, None),
    "rate limited": (faults.rate_limited(2), RATE, 2.0, None),
    "rate limited, no wait": (faults.rate_limited(), RATE, None, None),
    "server error": (faults.server_error(), TRANSIENT, None, None),
    "overloaded": (faults.server_error(503, retry_after=7), TRANSIENT, 7.0, None),
    "request timeout": (faults.server_error(408), TRANSIENT, None, None),
    "conflict": (faults.server_error(409), TRANSIENT, None, None),
    "cut connection": (faults.cut_connection(), TRANSIENT, None, None),
    "broken json": (faults.broken_json(), TRANSIENT, None, None),
    "too large": (faults.too_large(), TOO_LARGE, None, None),
    "too many tokens": (
        refuse(Refusal("too_large", 400, "Requested 309209 tokens, max 300000 tokens per request")),
        TOO_LARGE,
        None,
        None,
    ),
    "too long": (faults.too_long(), TOO_LONG, None, None),
    "too long at": (faults.too_long(1), TOO_LONG, None, 1),
    "bad input": (faults.bad_input(), BAD, None, None),
    "bad input at": (faults.bad_input(2), BAD, None, 2),
    "unprocessable": (
        refuse(Refusal("bad_input", 422, "input should be a valid string")),
        BAD,
        None,
        None,
    ),
    "bad request": (faults.bad_request(), PERMANENT, None, None),
    "no such model": (faults.not_found(), PERMANENT, None, None),
    "short answer": (faults.short_answer(), FailureKind.BAD_OUTPUT, None, None),
}

_AT_1 = {
    "type": "string_too_long",
    "loc": ["body", "input", 1],
    "msg": "String should have at most 122880 characters",
}
_UNION = {"type": "string_type", "loc": ["body", "input", "list[str]", 2], "msg": "Input should be"}
_LIST = {"type": "too_long", "loc": ["body", "input"], "msg": "List should have at most 2048 items"}
_DIMENSIONS = {
    "type": "int_parsing",
    "loc": ["body", "dimensions"],
    "msg": "Input should be an int",
}
_TPM = (
    "Request too large for text-embedding-3-small in organization o on tokens per min (TPM): "
    "Limit 40000, Requested 160256. The input or output tokens must be reduced."
)
_SOON = "Rate limit reached on tokens per min (TPM): Limit 40000, Used 39000, Requested 2000."
IN_OTHER_WORDS = {
    "more than a minute's tokens": (429, {"error": {"message": _TPM}}, TOO_LARGE, None),
    "tokens of this minute": (429, {"error": {"message": _SOON}}, RATE, None),
    "fastapi, text too long": (422, {"detail": [_AT_1]}, TOO_LONG, 1),
    "fastapi, no text": (422, {"detail": [_UNION]}, BAD, 2),
    "fastapi, too many": (422, {"detail": [_LIST]}, TOO_LARGE, None),
    "fastapi, a setting": (422, {"detail": [_DIMENSIONS]}, PERMANENT, None),
    "fastapi, a sentence": (422, {"detail": "text must not be empty"}, BAD, None),
    "inference server, too long": (
        422,
        {"error": "Input validation error: `inputs` must have less than 512 tokens. Given: 5000"},
        TOO_LONG,
        None,
    ),
    "inference server, too long as 413": (
        413,
        {"message": "Input validation error: `inputs` must have less than 512 tokens. Given: 9"},
        TOO_LONG,
        None,
    ),
    "inference server, too many": (
        413,
        {"error": "batch size 100 > maximum allowed batch size 32", "error_type": "Validation"},
        TOO_LARGE,
        None,
    ),
    "inference server, it failed": (424, {"error": "inference failed"}, TRANSIENT, None),
    "llama.cpp, physical batch": (
        500,
        {"error": {"message": "input is too large to process. increase the physical batch size"}},
        TOO_LONG,
        None,
    ),
    "llama.cpp, context": (
        400,
        {"error": {"message": "request (24273 tokens) exceeds the available context size"}},
        TOO_LONG,
        None,
    ),
    "ollama, no number": (
        500,
        {"error": {"message": "failed to encode response: json: unsupported value: NaN"}},
        BAD,
        None,
    ),
    "ollama, too long": (
        400,
        {"error": {"message": "the input length exceeds the context length"}},
        TOO_LONG,
        None,
    ),
    "proxy, a page": (400, "<html>Bad Request</html>", PERMANENT, None),
}


@pytest.mark.parametrize(
    ("status", "body", "kind", "index"), IN_OTHER_WORDS.values(), ids=IN_OTHER_WORDS
)
def test_other_servers_say_it_in_other_words(make, server, status, body, kind, index):
    """What is at fault is read from the body, whichever form it has."""
    function = make()
    server.script(faults.reply(body, status))
    with pytest.raises(openai.APIStatusError) as caught:
        function.generate_embeddings(["a", "b", "c"])
    failure = function.classify(caught.value)
    assert (failure.kind, failure.index) == (kind, index)


@pytest.mark.parametrize(
    ("path", "words", "hinted"),
    [("", "Not Found", True), ("/v1", "Not Found", False), ("", "no model 'tiny'", False)],
)
def test_an_address_without_its_path_is_explained(make, server, path, words, hinted):
    """A server that knows no /embeddings is a reason to look at the end of base_url."""
    server.always(faults.reply({"detail": words}, 404))
    with pytest.raises(PermanentError) as caught:
        make(base_url=server.url + path).compute_source_embeddings_with_retry(["a"])
    assert ("put that at the end of base_url" in str(caught.value)) == hinted


@pytest.mark.parametrize("words", ["encoding_format 'base64' is not supported", "no such user"])
def test_a_server_without_base64_is_explained(make, server, words):
    """Its refusal names the setting that helps, and no other refusal does."""
    server.when(
        lambda request: request.payload["encoding_format"] == "base64",
        faults.reply({"error": {"message": words}}, 400),
    )
    with pytest.raises(PermanentError) as caught:
        make().compute_source_embeddings_with_retry(["a"])
    assert ("encoding_format='float'" in str(caught.value)) == ("base64" in words)
    assert len(make(encoding_format="float").compute_source_embeddings_with_retry(["a"])) == 1


def test_an_answer_without_end_is_refused_and_not_asked_for_again(make, server, monkeypatch):
    """What unpacks to more than an answer can be is read no further."""
    monkeypatch.setattr("embow.embeddings.transport.MOST_BYTES", 100_000)
    packed = gzip.compress(b" " * 10_000_000)
    server.always(faults.reply(packed, 200, {"content-encoding": "gzip"}))
    with pytest.raises(PermanentError, match="Send fewer inputs"):
        make().compute_source_embeddings_with_retry(["a"])
    assert len(server.requests) == 1


def test_a_packed_answer_is_read(make, server):
    """Compression as such is fine."""
    body = {"data": [{"index": 0, "embedding": [1.0] * 8}]}
    packed = gzip.compress(json.dumps(body).encode())
    server.script(faults.reply(packed, 200, {"content-encoding": "gzip"}))
    assert make().generate_embeddings(["a"]).tolist() == [[1.0] * 8]


@pytest.mark.parametrize(("fault", "kind", "wait", "index"), CASES.values(), ids=CASES)
def test_failures_are_told_apart(make, server, fault, kind, wait, index):
    """Each error of the server is one kind of failure, with the wait and the index it names."""
    function = make()
    server.script(fault)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any error, judged below
        function.generate_embeddings(["a", "b", "c"])
    failure = function.classify(caught.value)
    assert (failure.kind, failure.retry_after, failure.index) == (kind, wait, index)


def test_a_dead_server_is_transient(make, server):
    """A refused connection may pass."""
    function = make()
    server.close()
    with pytest.raises(openai.APIConnectionError) as caught:
        function.generate_embeddings(["a"])
    assert function.classify(caught.value).kind is TRANSIENT


def test_a_server_that_does_not_answer_is_transient(make, server):
    """The timeout of the function ends the call."""
    function = make(timeout=0.1)
    server.script(faults.hang())
    with pytest.raises(openai.APITimeoutError) as caught:
        function.generate_embeddings(["a"])
    assert function.classify(caught.value).kind is TRANSIENT


@pytest.mark.parametrize(
    "fault", [faults.rate_limited(0), faults.server_error(), faults.quota_exceeded()]
)
def test_the_sdk_does_not_retry_by_itself(make, server, fault):
    """One call makes one request: the loop around it belongs to the core."""
    server.always(fault)
    with pytest.raises(openai.APIStatusError):
        make().generate_embeddings(["a"])
    assert len(server.requests) == 1


def test_a_call_that_may_pass_is_made_again(make, server):
    """The core's loop waits at least as long as the server asks, then succeeds."""
    waits: list[float] = []
    server.script(faults.rate_limited(2), faults.server_error(), None)
    function, policy = make(), RetryPolicy(sleep=waits.append)
    vectors = attempt_call(function, lambda _: function.generate_embeddings(["a"]), policy)
    assert vectors.shape == (1, 8)
    assert len(server.requests) == 3
    assert waits[0] >= 2


def test_a_refused_key_is_never_tried_again(make, server):
    """One request tells."""
    server.always(faults.unauthorized())
    with pytest.raises(AuthenticationError, match="openai"):
        make().compute_source_embeddings_with_retry(["a"])
    assert len(server.requests) == 1


def test_errors_of_others_are_left_to_the_core(make):
    """What is not the SDK's is judged as everywhere."""
    function = make()
    assert function.classify(BadOutputError("x")).kind is FailureKind.BAD_OUTPUT
    assert function.classify(TypeError("x")).kind is FailureKind.PERMANENT
