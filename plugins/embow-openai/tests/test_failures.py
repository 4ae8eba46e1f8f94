"""Every way a call can fail, through the real SDK, and what it is taken for."""

import openai
import pytest

from embow.embeddings import FailureKind
from embow.embeddings._retry import RetryPolicy, attempt_call
from embow.errors import AuthenticationError, BadOutputError
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
