"""Errors by class, whichever SDK they come from, and the retries that follow from it."""

from __future__ import annotations

import logging
import socket
import ssl
import urllib.error
from email.utils import formatdate

import numpy as np
import pytest

from embow import errors
from embow.embeddings import _retry as retry
from embow.embeddings.classify import classify, parse_retry_after
from embow.embeddings.types import FailureKind
from scripted import scripted, vectors_of


class HttpError(Exception):
    """Looks like the error of an SDK."""

    def __init__(self, status, text="", headers=None, where="status_code"):
        super().__init__(text)
        if where == "response":
            self.response = type("Response", (), {"status_code": status, "headers": headers or {}})
        else:
            setattr(self, where, status)
            self.headers = headers or {}


def library_error(module: str, name: str) -> BaseException:
    """Return an error of a subclass of a library's error, without the library."""
    base = type(name, (Exception,), {"__module__": f"{module}._exceptions"})
    return type("Special", (base,), {"__module__": "somewhere"})("x")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        *[(cls.value("x"), cls) for cls in FailureKind],
        (errors.MissingCredentialError("x"), FailureKind.PERMANENT),
        (HttpError(401), FailureKind.AUTH),
        (HttpError(403, where="code"), FailureKind.AUTH),
        (HttpError(402), FailureKind.QUOTA),
        (HttpError(429, "insufficient_quota: pay"), FailureKind.QUOTA),
        (HttpError(429, where="response"), FailureKind.RATE_LIMITED),
        (HttpError(413), FailureKind.TOO_LARGE),
        (HttpError(400, "max 300000 tokens per request"), FailureKind.TOO_LARGE),
        (HttpError(400, "This model's maximum context length is 8192"), FailureKind.TOO_LONG),
        (HttpError(400, "odd"), FailureKind.BAD_INPUT),
        (HttpError(422), FailureKind.BAD_INPUT),
        (HttpError(404), FailureKind.PERMANENT),
        *[(HttpError(status), FailureKind.TRANSIENT) for status in (408, 409, 425, 500, 503, 529)],
        (HttpError("503", where="code"), FailureKind.TRANSIENT),
        (ConnectionResetError(), FailureKind.TRANSIENT),
        (TimeoutError(), FailureKind.TRANSIENT),
        (socket.gaierror(-3, "try again"), FailureKind.TRANSIENT),
        (OSError(113, "no route"), FailureKind.TRANSIENT),
        (urllib.error.URLError(ConnectionRefusedError()), FailureKind.TRANSIENT),
        (library_error("httpx", "TransportError"), FailureKind.TRANSIENT),
        (library_error("httpx2", "TransportError"), FailureKind.TRANSIENT),
        (library_error("requests", "ConnectionError"), FailureKind.TRANSIENT),
        (library_error("urllib3", "ProtocolError"), FailureKind.TRANSIENT),
        (RuntimeError("who knows"), FailureKind.TRANSIENT),
        (type("OutOfMemoryError", (RuntimeError,), {})(), FailureKind.TOO_LARGE),
        (RuntimeError("MPS backend out of memory (allocated 9 GB)"), FailureKind.TOO_LARGE),
        (MemoryError(), FailureKind.TOO_LARGE),
        (FileNotFoundError(2, "model.bin"), FailureKind.PERMANENT),
        (PermissionError(13, "model.bin"), FailureKind.PERMANENT),
        (OSError("cannot find the model on the hub"), FailureKind.PERMANENT),
        (ssl.SSLCertVerificationError(1, "self signed"), FailureKind.PERMANENT),
        *[
            (cls("x"), FailureKind.PERMANENT)
            for cls in (ImportError, TypeError, ValueError, KeyError, AttributeError)
        ],
    ],
    ids=lambda value: value.name if isinstance(value, FailureKind) else repr(value)[:40],
)
def test_each_error_has_its_class(error, kind):
    """The class decides what happens next, so it must be the right one."""
    assert classify(error).kind is kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "2"}, 2.0),
        ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
        ({"RETRY-AFTER": "0"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
)
def test_the_wait_asked_for_is_read_from_the_headers(headers, seconds):
    """Milliseconds come first; nonsense is no wait."""
    assert parse_retry_after(headers) == seconds


def test_a_wait_may_be_a_date(monkeypatch):
    """An HTTP date is turned into seconds from now."""
    monkeypatch.setattr("embow.embeddings.classify.time.time", lambda: 1000.0)
    assert parse_retry_after({"Retry-After": formatdate(1030, usegmt=True)}) == 30.0


def test_the_wait_and_the_position_reach_the_failure():
    """Nothing the provider said is lost."""
    assert classify(HttpError(429, headers={"Retry-After": "7"})).retry_after == 7.0
    assert classify(errors.BadInputError("x", row=3)).index == 3


@pytest.fixture
def quick(monkeypatch):
    """Let retries wait on a list instead of on time."""
    waits: list[float] = []
    real = retry.RetryPolicy
    monkeypatch.setattr(
        retry, "RetryPolicy", lambda **given: real(**given, sleep=waits.append, jitter=lambda: 1.0)
    )
    return waits


def test_the_retrying_form_tries_again_and_returns_the_vectors(quick, caplog):
    """``compute_source_embeddings_with_retry`` is the same loop for direct callers."""
    failures = iter([ConnectionError(), HttpError(503)])

    def answer(texts):
        for error in failures:
            raise error
        return vectors_of(texts)

    with caplog.at_level(logging.ERROR):
        vectors = scripted(answer).compute_source_embeddings_with_retry(["a"])
    np.testing.assert_array_equal(vectors, vectors_of(["a"]))
    assert quick == [0.5, 1.0]


def test_the_wait_a_provider_asks_for_is_never_cut_short(quick, caplog):
    """``Retry-After`` is a minimum."""
    failures = iter([HttpError(429, headers={"Retry-After": "20"})])

    def answer(texts):
        for error in failures:
            raise error
        return vectors_of(texts)

    with caplog.at_level(logging.ERROR):
        scripted(answer).compute_source_embeddings_with_retry(["a"])
    assert 20 <= quick[0] < 21


@pytest.mark.parametrize("call", ["source", "query"])
def test_the_last_error_is_raised_as_its_class_and_chained(quick, call, caplog):
    """No bare ``Exception`` hides what happened."""

    def answer(texts):
        raise HttpError(500, "down")

    function = scripted(answer, max_retries=3)
    with caplog.at_level(logging.ERROR), pytest.raises(errors.TransientError) as caught:
        getattr(function, f"compute_{call}_embeddings_with_retry")(["a"])
    assert (caught.value.attempts, len(function.asked)) == (4, 4)
    assert isinstance(caught.value.__cause__, HttpError)


class Request:
    """What an HTTP client sends: its headers hold the key."""

    def __init__(self):
        self.headers = {"api-key": "sk-1234567"}


def test_what_was_sent_is_in_no_field_of_a_chain(quick):
    """A debugger or an error tracker that prints fields finds no key, however deep they are."""
    below, beside = OSError("refused"), ConnectionError("first")
    below.request = Request()
    beside.sent = [Request(), 3]
    error = HttpError(400, "no")
    error.kwargs = {"error": below, "where": ("https://u:pw@h/?token=abc", 2)}
    error.__context__ = beside

    def answer(texts):
        raise error from OSError("cause")

    with pytest.raises(errors.EmbeddingError):
        scripted(answer).compute_source_embeddings_with_retry(["a"])
    assert (below.request, beside.sent) == (None, [None, 3])
    assert error.kwargs == {"error": below, "where": ("https://***@h/?token=***", 2)}


def test_a_direct_call_is_told_which_input_failed(quick):
    """Where there are no rows, the position among the inputs is named."""

    def answer(texts):
        raise errors.BadInputError("x", row=1)

    told = r"refused an input, number 1 of this call \("
    with pytest.raises(errors.BadInputError, match=told) as caught:
        scripted(answer).compute_source_embeddings_with_retry(["a", "b"])
    assert caught.value.row == 1


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (HttpError(401), errors.AuthenticationError),
        (ImportError("openai"), errors.PermanentError),
        (TypeError("x"), errors.PermanentError),
        (errors.MissingSdkError("pip install it"), errors.MissingSdkError),
    ],
)
def test_what_cannot_pass_is_tried_once(quick, error, raised):
    """No waiting for a package that is not installed."""

    def answer(texts):
        raise error

    function = scripted(answer)
    with pytest.raises(raised):
        function.compute_source_embeddings_with_retry(["a"])
    assert (len(function.asked), quick) == (1, [])


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_never_caught(quick, signal):
    """Ctrl-C ends the call."""

    def answer(texts):
        raise signal

    with pytest.raises(signal):
        scripted(answer).compute_source_embeddings_with_retry(["a"])


def test_an_embedding_error_survives_pickling():
    """Workers hand errors to their driver."""
    import pickle

    error = errors.RateLimitError("slow", provider="p", model="m", attempts=3, row=2)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.provider, copy.attempts, copy.row) == ("slow", "p", 3, 2)
