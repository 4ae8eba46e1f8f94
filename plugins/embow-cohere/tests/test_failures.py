"""Every way a call can fail, through the real SDK, and what it is taken for."""

import gzip
import traceback

import pytest
from cohere.core.api_error import ApiError

from embow.embeddings import FailureKind
from embow.embeddings._retry import RetryPolicy, attempt_call
from embow.errors import AuthenticationError, BadOutputError, EmbeddingError, PermanentError
from embow_testing import faults
from embow_testing.faults import Refusal, refuse

AUTH, QUOTA, RATE = FailureKind.AUTH, FailureKind.QUOTA, FailureKind.RATE_LIMITED
TRANSIENT, PERMANENT = FailureKind.TRANSIENT, FailureKind.PERMANENT
TOO_LONG, TOO_LARGE, BAD = FailureKind.TOO_LONG, FailureKind.TOO_LARGE, FailureKind.BAD_INPUT

MONTHLY = "You are using a Trial key, which is limited to 1000 API calls / month."

CASES = {
    "unauthorized": (faults.unauthorized(), AUTH, None, None),
    "forbidden": (faults.forbidden(), AUTH, None, None),
    "invalid token": (refuse(Refusal("auth", status=498)), AUTH, None, None),
    "no credit": (faults.quota_exceeded(), QUOTA, None, None),
    "trial used up": (refuse(Refusal("rate_limited", message=MONTHLY)), QUOTA, None, None),
    "rate limited": (faults.rate_limited(2), RATE, 2.0, None),
    "rate limited, no wait": (faults.rate_limited(), RATE, None, None),
    "server error": (faults.server_error(), TRANSIENT, None, None),
    "overloaded": (faults.server_error(503, retry_after=7), TRANSIENT, 7.0, None),
    "bad gateway": (faults.server_error(502), TRANSIENT, None, None),
    "closed": (faults.server_error(499), TRANSIENT, None, None),
    "not implemented": (faults.server_error(501), PERMANENT, None, None),
    "cut connection": (faults.cut_connection(), TRANSIENT, None, None),
    "broken json": (faults.broken_json(), TRANSIENT, None, None),
    "too many texts": (faults.too_large(), TOO_LARGE, None, None),
    "body too large": (refuse(Refusal("too_large", status=413)), TOO_LARGE, None, None),
    "too long": (faults.too_long(), TOO_LONG, None, None),
    "bad input": (faults.bad_input(), BAD, None, None),
    "bad input at": (faults.bad_input(2), BAD, None, 2),
    "unprocessable": (refuse(Refusal("bad_input", status=422)), BAD, None, None),
    "bad request": (faults.bad_request(), PERMANENT, None, None),
    "no such model": (faults.not_found(), PERMANENT, None, None),
    "short answer": (faults.short_answer(), FailureKind.BAD_OUTPUT, None, None),
}


@pytest.mark.parametrize(("fault", "kind", "wait", "index"), CASES.values(), ids=CASES)
def test_failures_are_told_apart(make, server, fault, kind, wait, index):
    """Each error of the server is one kind of failure, with the wait and the index it names."""
    function = make()
    server.script(fault)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any error, judged below
        function.generate_embeddings(["a", "b", "c"])
    failure = function.classify(caught.value)
    assert (failure.kind, failure.retry_after, failure.index) == (kind, wait, index)


def test_a_dead_or_silent_server_is_transient(make, server):
    """A refused connection and a timeout may pass."""
    function = make(timeout=0.1)
    server.script(faults.hang())
    for _ in range(2):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - any error, judged below
            function.generate_embeddings(["a"])
        assert function.classify(caught.value).kind is TRANSIENT
        server.close()


@pytest.mark.parametrize("fault", [faults.rate_limited(0), faults.server_error()])
def test_the_sdk_does_not_retry_by_itself(make, server, fault):
    """One call makes one request: the loop around it belongs to the core."""
    server.always(fault)
    with pytest.raises(ApiError):
        make().generate_embeddings(["a"])
    assert len(server.requests) == 1


def test_a_call_that_may_pass_is_made_again(make, server):
    """The core's loop waits at least as long as the server asks, then succeeds."""
    waits: list[float] = []
    server.script(faults.rate_limited(2), faults.server_error(), None)
    function, policy = make(), RetryPolicy(sleep=waits.append)
    attempt_call(function, lambda _: function.generate_embeddings(["a"]), policy)
    assert len(server.requests) == 3
    assert waits[0] >= 2


def test_a_refused_key_is_never_tried_again(make, server):
    """One request tells, and the message says what Cohere said."""
    server.always(faults.unauthorized())
    with pytest.raises(AuthenticationError, match="invalid api token"):
        make().compute_source_embeddings_with_retry(["a"])
    assert len(server.requests) == 1


def test_errors_show_no_response_headers(make, server, caplog):
    """Neither warnings nor tracebacks print what a vendor's server sets, such as cookies."""
    server.always(faults.reply({"message": "broken"}, 500, {"set-cookie": "session=sentinel"}))
    with pytest.raises(EmbeddingError) as caught:
        make(max_retries=1).compute_source_embeddings_with_retry(["a"])
    shown = caplog.text + "".join(traceback.format_exception(caught.value))
    assert "broken" in caplog.text
    assert "sentinel" not in shown


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"embeddings": "x"},
        {"embeddings": {}},
        {"embeddings": {"base64": "x"}},
        {"embeddings": {"base64": [5]}},
        {"embeddings": {"base64": ["AAA"]}},
        {"embeddings": {"float": [["x"]]}},
        {"embeddings": {"float": [None]}},
        {"embeddings": {"float": [1.0]}},
    ],
    ids=str,
)
def test_answers_of_another_form_are_bad_output(make, server, body):
    """What cannot be read is said to be so, never an error of the inside."""
    server.script(faults.reply(body))
    with pytest.raises(BadOutputError):
        make(name="small").generate_embeddings(["a"])


@pytest.mark.parametrize(
    "meta", ["x", 5, None, {"billed_units": "x"}, {"billed_units": {"input_tokens": "x"}}]
)
def test_a_bill_that_cannot_be_read_costs_no_vector(make, server, meta):
    """What was paid for is kept."""
    server.script(faults.reply({"id": "1", "embeddings": {"float": [[1.0, 2.0]]}, "meta": meta}))
    assert make(name="small").generate_embeddings(["a"]).tolist() == [[1.0, 2.0]]


def test_an_answer_without_end_is_refused_and_not_asked_for_again(make, server, monkeypatch):
    """What unpacks to more than an answer can be is read no further."""
    monkeypatch.setattr("embow.embeddings.transport.MOST_BYTES", 100_000)
    packed = gzip.compress(b" " * 10_000_000)
    server.always(faults.reply(packed, 200, {"content-encoding": "gzip"}))
    with pytest.raises(PermanentError, match="Send fewer inputs"):
        make().compute_source_embeddings_with_retry(["a"])
    assert len(server.requests) == 1
