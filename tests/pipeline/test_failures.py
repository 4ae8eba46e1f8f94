"""What happens to rows, calls and money when a provider refuses or fails."""

from __future__ import annotations

import functools
import logging
import math
import threading
import traceback

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from embow.embeddings.types import Usage, record_usage
from embow.errors import (
    AuthenticationError,
    BadInputError,
    BadOutputError,
    BudgetExceededError,
    EmbeddingError,
    MissingCredentialError,
    PermanentError,
    QuotaExceededError,
    RequestTooLargeError,
    TransientError,
)
from embow.pipeline import AddReport, Pipeline, PipelineOptions
from scripted import (
    NDIMS,
    FakeClock,
    Scripted,
    column,
    embed,
    job,
    poisoned,
    rows_of,
    scripted,
    validity,
    vectors_of,
)

TEXTS = [f"text {at}" for at in range(5000)]


def refusing(error):
    """Return an answer that always raises."""

    def answer(texts):
        raise error

    return answer


@settings(max_examples=60, deadline=None)
@given(bad=st.integers(0, 255), index=st.booleans())
def test_one_poisoned_input_is_found_by_few_requests(bad, index):
    """Halving costs at most 2 x log2 extra requests, wherever the input is; an index costs one."""
    texts = TEXTS[:256]
    function = scripted(poisoned(texts[bad], index=index), max_items=256)
    out, report = embed(function, texts, on_error="skip")
    assert [row.row for row in report.failed] == [bad]
    assert np.flatnonzero(~validity(out)).tolist() == [bad]
    assert len(function.asked) - 1 <= (1 if index else 2 * math.log2(256))
    np.testing.assert_array_equal(
        np.delete(column(out), bad, 0), np.delete(vectors_of(texts), bad, 0)
    )


def test_what_is_known_to_hold_the_fault_is_not_asked_for_whole():
    """After a good left half the right one is halved at once: one request a level, not two."""
    texts = TEXTS[:256]
    function = scripted(poisoned(texts[-1]), max_items=256)
    embed(function, texts, on_error="skip")
    assert len(function.asked) - 1 == math.log2(256) + 1


@settings(max_examples=40, deadline=None)
@given(bad=st.sets(st.integers(0, 99), max_size=30), items=st.integers(1, 40), index=st.booleans())
def test_exactly_the_poisoned_inputs_fail(bad, items, index):
    """Any number of bad inputs is told apart from the good ones."""
    texts = TEXTS[:100]
    answer = poisoned(*(texts[at] for at in bad), index=index)
    out, report = embed(scripted(answer, max_items=items), texts, on_error="null")
    assert {row.row for row in report.failed} == bad
    assert set(np.flatnonzero(~validity(out)).tolist()) == bad


@pytest.mark.parametrize("bad", [{2}, {0, 5, 9}, set(range(10))])
def test_inputs_named_together_cost_one_more_request(bad):
    """A provider that knows all bad inputs of a call tells them at once, each with its reason."""

    def answer(texts):
        errors = {at: BadInputError(f"no {text}", row=at) for at, text in enumerate(texts)}
        errors = {at: e for at, e in errors.items() if int(texts[at].split()[1]) in bad}
        if not errors:
            return vectors_of(texts)
        first = errors.pop(min(errors))
        first.others = errors
        raise first

    function = scripted(answer, max_items=10)
    _, report = embed(function, TEXTS[:10], on_error="skip")
    assert [row.row for row in report.failed] == sorted(bad)
    assert all(f"no text {row.row}" in row.message for row in report.failed)
    assert len(function.asked) == (1 if len(bad) == 10 else 2)


def test_one_poisoned_text_among_five_thousand_loses_only_itself():
    """4,999 rows keep their vectors, and extra requests stay within the bound of one request."""
    function = scripted(poisoned("text 3210"), max_items=96, max_concurrency=8)
    out, report = embed(function, TEXTS, on_error="quarantine")
    assert (int(validity(out).sum()), report.embedded, len(report.failed)) == (4999, 4999, 1)
    (failed,) = report.failed
    assert (failed.row, failed.column, failed.kind) == (3210, "text", "bad_input")
    assert len(function.asked) <= math.ceil(5000 / 96) + 2 * math.log2(96) + 2


def test_equal_rows_fail_together():
    """Every row that holds the bad text is reported, by its own position."""
    function = scripted(poisoned("bad"))
    _, report = embed(function, ["bad", "good", "bad"], on_error="skip")
    assert [row.row for row in report.failed] == [0, 2]


def test_raise_names_the_first_failing_row_and_keeps_what_was_paid(tmp_path):
    """The exception says who, what, how often and where; the rest is in the cache."""
    pipeline = Pipeline(tmp_path / "cache.sqlite")
    function = scripted(poisoned("text 70", "text 90"), max_items=10, max_concurrency=4)
    with pytest.raises(BadInputError, match="text 70") as caught:
        embed(function, TEXTS[:100], pipeline=pipeline)
    error = caught.value
    assert (error.provider, error.model, error.row, error.attempts) == (
        "scripted",
        function.name,
        70,
        1,
    )
    assert isinstance(error.__cause__, BadInputError)
    sent = function.sent
    function._answer = vectors_of
    _, report = embed(function, TEXTS[:100], pipeline=pipeline)
    pipeline.close()
    assert report.cached >= 50
    assert function.sent - sent == 100 - report.cached


def test_an_earlier_row_that_fails_later_is_the_one_named():
    """When two requests fail, the first row of the data is reported, whichever came in first."""
    later_failed = threading.Event()

    def answer(texts):
        if "text 25" in texts and len(texts) == 1:
            later_failed.set()
        if "text 15" in texts and len(texts) == 10:
            assert later_failed.wait(30)
        return refuse(texts)

    refuse = poisoned("text 15", "text 25")
    function = scripted(answer, max_items=10, max_concurrency=2)
    with pytest.raises(BadInputError) as caught:
        embed(function, TEXTS[:30])
    assert caught.value.row == 15


def test_a_wrong_key_costs_exactly_one_request():
    """401 stops everything, however many threads stand ready."""
    function = scripted(refusing(AuthenticationError("401")), max_items=10, max_concurrency=16)
    with pytest.raises(AuthenticationError, match=r"auth, 1 attempt"):
        embed(function, TEXTS, on_error="skip")
    assert len(function.asked) == 1


@pytest.mark.parametrize(
    "error", [QuotaExceededError("402"), TypeError("odd"), PermanentError("x")]
)
def test_what_no_retry_can_mend_is_not_retried(error):
    """Quota and program errors end the call at once, whatever the policy."""
    function = scripted(refusing(error), max_concurrency=8, max_items=10)
    with pytest.raises((QuotaExceededError, PermanentError)):
        embed(function, TEXTS, on_error="skip")
    assert len(function.asked) == 1


def test_an_error_of_ours_about_settings_comes_out_as_it_is():
    """A missing key keeps its class and its instructions."""
    function = scripted(refusing(MissingCredentialError("set THE_KEY")))
    with pytest.raises(MissingCredentialError, match="set THE_KEY"):
        embed(function, ["a"])


def test_what_may_pass_is_tried_again_with_growing_bounded_waits(caplog):
    """Transient failures are retried; the waits double and never exceed a minute."""
    clock, waits = FakeClock(), []
    inner = clock.wait
    clock.wait = lambda seconds, cancelled: (waits.append(seconds), inner(seconds, cancelled))
    failures = iter([ConnectionError()] * 9)

    def answer(texts):
        for error in failures:
            raise error
        return vectors_of(texts)

    function = scripted(answer, max_retries=9)
    with caplog.at_level(logging.ERROR):
        _, report = embed(function, ["a"], clock=clock)
    assert (report.requests, report.embedded) == (10, 1)
    for at, wait in enumerate(waits):
        assert 0.5 * min(60, 0.5 * 2**at) <= wait <= min(60, 0.5 * 2**at)


def test_retries_end_with_the_class_of_the_last_failure(caplog):
    """``max_retries`` further attempts, then an error that counts them."""
    function = scripted(refusing(ConnectionError("reset")), max_retries=2)
    with caplog.at_level(logging.ERROR), pytest.raises(TransientError, match="3 attempts"):
        embed(function, ["a"], clock=FakeClock())
    assert len(function.asked) == 3


def test_a_deadline_ends_retries_early(caplog):
    """No attempt starts after the deadline, however many are left."""
    function = scripted(refusing(ConnectionError()), max_retries=1000)
    with caplog.at_level(logging.ERROR), pytest.raises(TransientError):
        embed(function, ["a"], clock=FakeClock(), deadline=30)
    assert 4 <= len(function.asked) <= 12


def test_a_request_that_is_too_large_is_cut_and_later_ones_start_smaller():
    """Nothing is lost to a limit that was not declared, and it is learned."""

    def answer(texts):
        if len(texts) > 10:
            raise RequestTooLargeError("at most 10")
        return vectors_of(texts)

    function = scripted(answer, max_items=96, max_concurrency=2)
    out, report = embed(function, TEXTS[:2000], on_error="raise")
    assert (validity(out).all(), report.embedded) == (True, 2000)
    refused = sum(len(asked) > 10 for asked in function.asked)
    assert refused <= 12
    function.asked.clear()
    embed(function, [f"later {at}" for at in range(500)])
    assert max(map(len, function.asked)) <= 10


def test_only_settings_can_refuse_everything():
    """When nothing was ever accepted, the pipeline stops instead of asking row by row."""
    function = scripted(refusing(BadInputError("no such model")), max_items=100)
    with pytest.raises(PermanentError, match="settings are at fault"):
        embed(function, TEXTS, on_error="skip")
    assert len(function.asked) < 250


def spoiled(where, value):
    """Return an answer in which the vector of one text is replaced."""

    def answer(texts):
        vectors = vectors_of(texts)
        for at, text in enumerate(texts):
            if text == where:
                vectors[at] = value
        return vectors

    return answer


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_unusable_numbers_fail_their_row_only(value):
    """NaN, infinity and all zeros are never stored."""
    out, report = embed(scripted(spoiled("b", value)), ["a", "b", "c"], on_error="skip")
    assert [(row.row, row.kind) for row in report.failed] == [(1, "bad_output")]
    assert validity(out).tolist() == [True, False, True]


def test_unusable_numbers_are_asked_for_once_more():
    """A server that stumbles once loses nothing."""
    first = iter([True])

    def answer(texts):
        vectors = vectors_of(texts)
        if next(first, False):
            vectors[1] = np.nan
        return vectors

    function = scripted(answer)
    out, _ = embed(function, ["a", "b", "c"])
    assert function.asked == [["a", "b", "c"], ["b"]]
    np.testing.assert_array_equal(column(out), vectors_of(["a", "b", "c"]))


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_very_small_and_very_large_vectors_are_usable(scale):
    """Numbers that only their squares overflow are fine."""
    function = scripted(lambda texts: vectors_of(texts) * np.float32(scale))
    out, _ = embed(function, ["a"])
    assert validity(out).all()


@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 0)], ids=["one short", "none"])
def test_a_wrong_count_is_never_stored_out_of_line(cut):
    """An answer of the wrong length is asked for in halves until each fits or fails."""

    def answer(texts):
        vectors = vectors_of(texts)
        return vectors[cut] if len(texts) > 2 else vectors

    out, _ = embed(scripted(answer), TEXTS[:40])
    np.testing.assert_array_equal(column(out), vectors_of(TEXTS[:40]))


def test_the_wrong_dimension_ends_the_call():
    """Vectors of another length are wrong for every row: one request, one clear error."""
    function = scripted(lambda texts: np.ones((len(texts), NDIMS + 1)))
    with pytest.raises(BadOutputError, match=f"{NDIMS + 1} dimensions"):
        embed(function, TEXTS[:100], on_error="skip")
    assert len(function.asked) == 1


def test_an_answer_that_is_no_array_is_a_bad_output():
    """``None`` or ragged lists do not reach storage."""
    with pytest.raises(BadOutputError):
        embed(scripted(lambda texts: [None] * len(texts)), ["a"])


def test_a_budget_stops_before_it_is_exceeded(tmp_path):
    """No request starts that the budget does not cover; a larger one goes on from there."""
    pipeline = Pipeline(tmp_path / "cache.sqlite")
    function = scripted(max_items=10)
    with pytest.raises(BudgetExceededError, match="budget"):
        embed(function, [f"{at:08}" for at in range(100)], pipeline=pipeline, budget=50)
    assert function.sent == 20
    _, report = embed(function, [f"{at:08}" for at in range(100)], pipeline=pipeline)
    pipeline.close()
    assert report.cached == 20


def test_a_budget_counts_what_the_provider_reports():
    """Where the provider counts more than was estimated, later requests are held at that rate."""

    def answer(texts):
        record_usage(Usage(4 * len(texts)))
        return vectors_of(texts)

    function, report = scripted(answer, max_items=10), AddReport()
    with pytest.raises(BudgetExceededError):
        embed(function, [f"{at:04}" for at in range(100)], report=report, budget=100)
    assert report.tokens == 80


def test_tokens_reported_by_the_provider_go_into_the_report():
    """The provider's own count replaces the estimate."""

    def answer(texts):
        record_usage(Usage(7))
        return vectors_of(texts)

    _, report = embed(scripted(answer), ["a", "b"])
    assert report.tokens == 7


class Secretive(Scripted):
    """Has a key."""

    api_key: SecretStr = SecretStr("sk-sentinel-0123456789")


def test_no_key_reaches_a_message_a_report_or_a_traceback(tmp_path, caplog):
    """Keys in the text of an SDK's error are masked wherever they come out."""
    function = Secretive()

    def answer(texts):
        raise BadInputError(f"rejected: Bearer {function.api_key.get_secret_value()}")

    function._answer = answer
    _, report = embed(function, ["a"], on_error="skip")
    with pytest.raises(EmbeddingError) as caught:
        embed(function, ["a"])
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(report)
    assert "sk-sentinel" not in shown
    assert "***" in shown


def test_no_key_reaches_the_cache_file(tmp_path):
    """The file holds digests and numbers."""
    pipeline = Pipeline(tmp_path / "cache.sqlite")
    embed(Secretive(), ["a text"], pipeline=pipeline)
    pipeline.close()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"sk-sentinel" not in raw
    assert b"a text" not in raw


def test_observers_get_one_event_a_request(caplog):
    """Failed and repeated requests are events too; an observer that fails harms nothing."""
    failures = iter([ConnectionError()])

    def answer(texts):
        for error in failures:
            raise error
        record_usage(Usage(5))
        return vectors_of(texts)

    events = []

    def broken(event):
        raise RuntimeError("observer")

    pipeline = Pipeline(None, observers=[broken, events.append], clock=FakeClock())
    embed(scripted(answer), ["a", "b"], pipeline=pipeline)
    seen = [(e.outcome, e.attempt, e.items, e.tokens, e.role, e.ndims) for e in events]
    assert seen == [("transient", 1, 2, 2, "document", NDIMS), ("ok", 2, 2, 5, "document", NDIMS)]
    assert caplog.text.count("observer of requests") == 1


def test_a_cancelled_wait_sends_nothing_more(caplog):
    """Closing the stream while a call backs off ends it without another request."""
    started = threading.Event()

    def answer(texts):
        started.set()
        raise ConnectionError

    function = scripted(answer, max_retries=50, max_items=1)

    def source():
        yield from rows_of(TEXTS[:3])
        assert started.wait(30)
        raise KeyboardInterrupt

    stream = Pipeline(None).embed_batches(source(), [job(function)], PipelineOptions(), AddReport())
    with caplog.at_level(logging.ERROR), pytest.raises((KeyboardInterrupt, StopIteration)):
        next(stream)
    assert len(function.asked) <= 2


class ServerError(Exception):
    """What an SDK raises for a status."""

    def __init__(self, status=500, text="something went wrong"):
        super().__init__(text)
        self.status_code = status


class HungUpError(Exception):
    """What an SDK raises around what its HTTP client does."""

    def __init__(self):
        super().__init__("connection error")
        self.__cause__ = ConnectionResetError("reset by peer")


BREAKS = [ServerError, functools.partial(ServerError, 502, "bad gateway"), HungUpError]


def breaking(*bad, error=ServerError):
    """Return an answer that breaks the server where a request holds certain texts."""

    def answer(texts):
        if any(text in bad for text in texts):
            raise error()
        return vectors_of(texts)

    return answer


@settings(max_examples=25, deadline=None)
@given(
    bad=st.sets(st.integers(1, 99), max_size=40),
    items=st.integers(1, 100),
    error=st.sampled_from(BREAKS),
)
def test_inputs_that_break_the_server_lose_only_themselves(bad, items, error):
    """An error that stays while other requests pass is the input's fault, whatever it is called."""
    breaks = breaking(*(TEXTS[at] for at in bad), error=error)
    function = scripted(breaks, max_items=items, max_retries=2)
    pipeline = Pipeline(None, clock=FakeClock())
    logging.disable(logging.WARNING)
    try:
        out, report = embed(function, TEXTS[:100], pipeline=pipeline, on_error="skip")
    finally:
        logging.disable(logging.NOTSET)
    assert {row.row for row in report.failed} == bad
    assert set(np.flatnonzero(~validity(out)).tolist()) == bad


def test_a_batch_that_breaks_the_server_is_sent_in_parts(caplog):
    """Some servers answer 500 to what is merely too much at once: then nothing is lost."""

    def answer(texts):
        if len(texts) > 30:
            raise ServerError
        return vectors_of(texts)

    with caplog.at_level(logging.ERROR):
        out, _ = embed(scripted(answer, max_items=100), TEXTS[:100], clock=FakeClock())
    assert validity(out).all()


@pytest.mark.parametrize("items", [1, 100])
@pytest.mark.parametrize("error", BREAKS)
@pytest.mark.parametrize("on_error", ["raise", "skip", "null", "quarantine"])
def test_an_outage_is_never_a_rows_fault(items, error, on_error, caplog):
    """Where the server breaks at everything, the call fails and no row is given up."""
    function = scripted(breaking(*TEXTS, error=error), max_items=items, max_retries=2)
    with caplog.at_level(logging.ERROR), pytest.raises(TransientError):
        embed(function, TEXTS[:100], clock=FakeClock(), on_error=on_error)
    assert len(function.asked) < 60


def test_an_outage_that_begins_while_a_fault_is_looked_for_is_no_rows_fault(caplog):
    """Rows that fail after the last answer are not given up."""
    answers = iter(range(3))

    def answer(texts):
        if "text 60" in texts or next(answers, None) is None:
            raise ServerError
        return vectors_of(texts)

    function = scripted(answer, max_items=100, max_retries=1)
    with caplog.at_level(logging.ERROR), pytest.raises(TransientError):
        embed(function, TEXTS[:100], clock=FakeClock(), on_error="skip")


@pytest.mark.parametrize(
    "spoil", [lambda v: v[:-1], lambda v: v[:, :-1], lambda v: [None] * len(v)]
)
def test_a_server_that_never_answered_right_is_not_paid_twice(spoil):
    """One input is asked for alone; where that fails as well, the call ends."""
    function = scripted(lambda texts: spoil(vectors_of(texts)), max_items=30)
    with pytest.raises(BadOutputError):
        embed(function, TEXTS[:300], on_error="skip")
    assert function.sent <= 31


@pytest.mark.parametrize(
    "words",
    [
        "batch size {n} > maximum allowed batch size 32",
        "Expected an array with maximum length 32, but got an array with length {n} instead.",
        "total number of texts must be at most 32, received {n}",
        "batch size is invalid, it should not be larger than 32.",
    ],
)
def test_the_batch_size_is_learned_from_the_servers_words(words):
    """100 inputs at 32 a request are five requests, the refused one included."""

    def answer(texts):
        if len(texts) > 32:
            raise RequestTooLargeError(words.format(n=len(texts)))
        return vectors_of(texts)

    function = scripted(answer, max_items=100)
    embed(function, TEXTS[:100])
    assert sorted(map(len, function.asked)) == [4, 32, 32, 32, 100]


def test_a_request_over_the_minutes_tokens_is_sent_in_parts():
    """One request larger than an account's whole minute would never pass as it is."""

    def answer(texts):
        if len(texts) > 25:
            raise RequestTooLargeError(
                "429: Request too large (TPM): Limit 40000, Requested 160256"
            )
        return vectors_of(texts)

    out, _ = embed(scripted(answer, max_items=100), TEXTS[:100])
    assert validity(out).all()


def test_a_program_error_of_a_local_model_is_raised_at_once():
    """Nothing on this machine gets better by being called again."""
    function = scripted(refusing(RuntimeError("expected Half, got Float")), local=True)
    with pytest.raises(PermanentError, match="expected Half"):
        embed(function, TEXTS[:10], on_error="skip")
    assert len(function.asked) == 1


def test_a_local_model_out_of_memory_gets_fewer_inputs():
    """What does not fit at once may fit in parts."""

    def answer(texts):
        if len(texts) > 8:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return vectors_of(texts)

    out, _ = embed(scripted(answer, local=True), TEXTS[:100])
    assert validity(out).all()
