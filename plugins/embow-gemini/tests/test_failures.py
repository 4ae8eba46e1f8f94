"""Every way a call can fail, through the real SDK, and what it is taken for."""

import gzip

import google.auth.exceptions
import pytest
from google.genai import errors

from embow.embeddings import FailureKind
from embow.embeddings._retry import RetryPolicy, attempt_call
from embow.errors import AuthenticationError, PermanentError
from embow_testing import faults
from embow_testing.faults import Refusal, refuse

AUTH, QUOTA, RATE = FailureKind.AUTH, FailureKind.QUOTA, FailureKind.RATE_LIMITED
TRANSIENT, PERMANENT = FailureKind.TRANSIENT, FailureKind.PERMANENT
TOO_LONG, TOO_LARGE, BAD = FailureKind.TOO_LONG, FailureKind.TOO_LARGE, FailureKind.BAD_INPUT

CASES = {
    "unknown key, which Google answers with 400": (faults.unauthorized(), AUTH, None, None),
    "unauthenticated": (refuse(Refusal("forbidden", status=401)), AUTH, None, None),
    "forbidden": (faults.forbidden(), AUTH, None, None),
    "daily allowance": (faults.quota_exceeded(), QUOTA, None, None),
    "rate limited": (faults.rate_limited(34), RATE, 34.0, None),
    "rate limited, no wait": (faults.rate_limited(), RATE, None, None),
    "credits used up": (
        refuse(Refusal("rate_limited", message="Your prepayment credits are depleted.")),
        QUOTA,
        None,
        None,
    ),
    "server error": (faults.server_error(), TRANSIENT, None, None),
    "overloaded": (faults.server_error(503, retry_after=7), TRANSIENT, 7.0, None),
    "deadline": (faults.server_error(504), TRANSIENT, None, None),
    "cancelled": (faults.server_error(499), TRANSIENT, None, None),
    "cut connection": (faults.cut_connection(), TRANSIENT, None, None),
    "broken json": (faults.broken_json(), TRANSIENT, None, None),
    "too many texts": (faults.too_large(), TOO_LARGE, None, None),
    "body too large": (refuse(Refusal("too_large", status=413)), TOO_LARGE, None, None),
    "payload": (
        refuse(Refusal("too_large", message="Request payload size exceeds the limit: 20971520")),
        TOO_LARGE,
        None,
        None,
    ),
    "too long": (faults.too_long(), TOO_LONG, None, None),
    "too long at": (faults.too_long(1), TOO_LONG, None, 1),
    "bad input": (faults.bad_input(), BAD, None, None),
    "bad input at": (faults.bad_input(2), BAD, None, 2),
    "bad request": (faults.bad_request(), PERMANENT, None, None),
    "no such model": (faults.not_found(), PERMANENT, None, None),
    "short answer": (faults.short_answer(), FailureKind.BAD_OUTPUT, None, None),
}


@pytest.mark.parametrize(("fault", "kind", "wait", "index"), CASES.values(), ids=CASES)
def test_failures_are_told_apart(make, server, fault, kind, wait, index):
    """Each error of the server is one kind of failure, with the wait and the index it names."""
    function = make(name="small")
    server.script(fault)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any error, judged below
        function.generate_embeddings(["a", "b", "c"])
    failure = function.classify(caught.value)
    assert (failure.kind, failure.retry_after, failure.index) == (kind, wait, index)


def test_a_dead_or_silent_server_is_transient(make, server):
    """A refused connection and a timeout may pass."""
    function = make(timeout=0.2)
    server.script(faults.hang())
    for _ in range(2):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - any error, judged below
            function.generate_embeddings(["a"])
        assert function.classify(caught.value).kind is TRANSIENT
        server.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (google.auth.exceptions.DefaultCredentialsError("none"), AUTH),
        (google.auth.exceptions.RefreshError("revoked"), AUTH),
        (google.auth.exceptions.RefreshError("busy", retryable=True), TRANSIENT),
        (google.auth.exceptions.TransportError("down"), TRANSIENT),
    ],
)
def test_google_cloud_credentials(make, error, kind):
    """Missing and revoked credentials are auth errors; a token server that is down may pass."""
    assert make().classify(error).kind is kind


@pytest.mark.parametrize("fault", [faults.rate_limited(0), faults.server_error(503)])
def test_the_sdk_does_not_retry_by_itself(make, server, fault):
    """One call makes one request: the loop around it belongs to the core."""
    server.always(fault)
    with pytest.raises(errors.APIError):
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
    """One request tells."""
    server.always(faults.unauthorized())
    with pytest.raises(AuthenticationError, match="API key not valid"):
        make().compute_source_embeddings_with_retry(["a"])
    assert len(server.requests) == 1


def test_an_answer_without_end_is_refused_and_not_asked_for_again(make, server, monkeypatch):
    """What unpacks to more than an answer can be is read no further."""
    monkeypatch.setattr("embow.embeddings.transport.MOST_BYTES", 100_000)
    packed = gzip.compress(b" " * 10_000_000)
    server.always(faults.reply(packed, 200, {"content-encoding": "gzip"}))
    with pytest.raises(PermanentError, match="Send fewer inputs"):
        make().compute_source_embeddings_with_retry(["a"])
    assert len(server.requests) == 1
