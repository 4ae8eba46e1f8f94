"""Every way a call can fail, through the real SDK, and what it is taken for."""

import botocore.exceptions
import pytest

from embow.embeddings import FailureKind
from embow.embeddings._retry import RetryPolicy, attempt_call
from embow.errors import AuthenticationError
from embow_testing import faults
from embow_testing.faults import Refusal, refuse

AUTH, QUOTA, RATE = FailureKind.AUTH, FailureKind.QUOTA, FailureKind.RATE_LIMITED
TRANSIENT, PERMANENT = FailureKind.TRANSIENT, FailureKind.PERMANENT
TOO_LONG, TOO_LARGE, BAD = FailureKind.TOO_LONG, FailureKind.TOO_LARGE, FailureKind.BAD_INPUT

TOO_MANY_CHARACTERS = "Malformed input request: #/texts/1: expected maxLength: 2048, actual: 2459"

CASES = {
    "unknown key": (faults.unauthorized(), AUTH, None, None),
    "forbidden": (faults.forbidden(), AUTH, None, None),
    "quota": (faults.quota_exceeded(), QUOTA, None, None),
    "tokens of the day": (
        refuse(Refusal("rate_limited", message="Too many tokens per day, please wait")),
        QUOTA,
        None,
        None,
    ),
    "throttled": (faults.rate_limited(2), RATE, 2.0, None),
    "throttled, no wait": (faults.rate_limited(), RATE, None, None),
    "server error": (faults.server_error(), TRANSIENT, None, None),
    "cut connection": (faults.cut_connection(), TRANSIENT, None, None),
    "broken json": (faults.broken_json(), TRANSIENT, None, None),
    "too many texts": (faults.too_large(), TOO_LARGE, None, None),
    "too long": (faults.too_long(), TOO_LONG, None, None),
    "too many characters": (
        refuse(Refusal("too_long", message=TOO_MANY_CHARACTERS)),
        TOO_LONG,
        None,
        1,
    ),
    "bad input": (faults.bad_input(), BAD, None, None),
    "bad input at": (faults.bad_input(2), BAD, None, 2),
    "bad request": (faults.bad_request(), PERMANENT, None, None),
    "no such model": (faults.not_found(), PERMANENT, None, None),
    "short answer": (faults.short_answer(), FailureKind.BAD_OUTPUT, None, None),
}


@pytest.mark.parametrize(("fault", "kind", "wait", "index"), CASES.values(), ids=CASES)
def test_failures_are_told_apart(make, server, fault, kind, wait, index):
    """Each error of the server is one kind of failure, with the wait and the index it names."""
    function = make(name="cohere.embed-english-v3")
    server.script(fault)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - any error, judged below
        function.generate_embeddings(["a", "b", "c"])
    failure = function.classify(caught.value)
    assert (failure.kind, failure.retry_after, failure.index) == (kind, wait, index)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ExpiredTokenException", 403, AUTH),
        ("InvalidSignatureException", 403, AUTH),
        ("ModelNotReadyException", 429, TRANSIENT),
        ("ModelTimeoutException", 408, TRANSIENT),
        ("ModelErrorException", 424, TRANSIENT),
        ("ServiceUnavailableException", 503, TRANSIENT),
        ("SomethingNew", 429, RATE),
        ("SomethingNew", 403, AUTH),
        ("SomethingNew", 413, TOO_LARGE),
        ("SomethingNew", 404, PERMANENT),
        ("SomethingNew", 502, TRANSIENT),
    ],
)
def test_every_error_code_of_bedrock(make, code, status, kind):
    """Named codes count first, then the status."""
    response = {
        "Error": {"Code": code, "Message": ""},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
    }
    error = botocore.exceptions.ClientError(response, "InvokeModel")
    assert make().classify(error).kind is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (botocore.exceptions.NoCredentialsError(), AUTH),
        (botocore.exceptions.PartialCredentialsError(provider="env", cred_var="x"), AUTH),
        (botocore.exceptions.CredentialRetrievalError(provider="p", error_msg="x"), AUTH),
        (botocore.exceptions.UnauthorizedSSOTokenError(), AUTH),
        (botocore.exceptions.TokenRetrievalError(provider="p", error_msg="x"), AUTH),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="x"), TRANSIENT),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="x"), TRANSIENT),
        (botocore.exceptions.ParamValidationError(report="x"), PERMANENT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_the_client_itself(make, error, kind):
    """Credentials, network and misuse are told apart."""
    assert make().classify(error).kind is kind


def test_a_dead_or_silent_server_is_transient(make, server):
    """A refused connection and a timeout may pass."""
    function = make(timeout=0.2)
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
    with pytest.raises(botocore.exceptions.ClientError):
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


def test_refused_credentials_are_never_tried_again(make, server):
    """One request tells."""
    server.always(faults.unauthorized())
    with pytest.raises(AuthenticationError, match="security token"):
        make().compute_source_embeddings_with_retry(["a"])
    assert len(server.requests) == 1
