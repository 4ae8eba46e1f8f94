"""Rates and concurrency: kept, learned, and shared by threads, loops and processes."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embow._cancel import Cancellation
from embow.embeddings.types import Failure, FailureKind, RateStatus, record_rate
from embow.errors import RateLimitError
from embow.pipeline import AddReport, Pipeline, PipelineOptions
from embow.pipeline._cachefile import CacheFile
from embow.pipeline._calls import REQUEST_ITEMS
from embow.pipeline._clock import StopWork
from embow.pipeline._limiter import AccountLimiter, Bucket, limiter_of
from embow.pipeline._sharedlimits import SharedLimits
from scripted import FakeClock, embed, job, rows_of, scripted, validity, vectors_of

TEXTS = [f"text {at}" for at in range(3000)]


@settings(max_examples=80, deadline=None)
@given(
    allowance=st.floats(2, 5000),
    steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 50)), max_size=120),
)
def test_no_minute_ever_holds_more_than_its_allowance(allowance, steps):
    """However calls come in, any window of 60 seconds keeps the limit."""
    bucket, now, sent = Bucket.per_minute(allowance, 0.0), 0.0, []
    for pause, count in steps:
        now += pause
        for _ in range(count):
            if bucket.wait_for(1, now) <= 0:
                bucket.take(1)
                sent.append(now)
    for start in sent:
        assert sum(start <= at < start + 60 for at in sent) <= allowance + 1


@given(amount=st.floats(0.1, 1000), capacity=st.floats(1, 100), rate=st.floats(0.1, 100))
def test_after_the_wait_it_said_the_bucket_lets_through(amount, capacity, rate):
    """Waiting once is enough, also for more than a bucketful."""
    bucket = Bucket(capacity, rate, 0.0, 0.0)
    wait = bucket.wait_for(amount, 0.0)
    assert bucket.wait_for(amount, wait * (1 + 1e-9)) <= 1e-6


class Storm:
    """A server that refuses its first requests and asks for a pause of two seconds."""

    def __init__(self, clock: FakeClock, refusals: int) -> None:
        self.clock = clock
        self.left = refusals
        self.lock = threading.Lock()
        self.closed_until = 0.0
        self.inside = 0
        self.entered: dict[int, float] = {}

    def __call__(self, texts):
        with self.lock:
            now = self.clock.time()
            self.inside += now < self.closed_until
            if self.left > 0:
                self.left -= 1
                self.closed_until = now + 2
                raise RateLimitError("slow down", retry_after=2)
        return vectors_of(texts)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_after_a_429_nobody_sends_before_the_pause_is_over(concurrency, caplog):
    """A storm of refusals with Retry-After 2: no request inside a window, and all rows in."""
    clock = FakeClock()
    storm = Storm(clock, 0)
    function = scripted(storm, max_items=50, max_concurrency=concurrency)
    embed(function, ["warm up"], clock=clock)
    storm.left = 6
    with caplog.at_level(logging.ERROR):
        out, report = embed(function, TEXTS, clock=clock)
    assert storm.inside <= concurrency - 1  # those already on their way when it began
    assert (validity(out).all(), len(report.failed)) == (True, 0)


def test_a_pause_holds_for_the_next_call_too(caplog):
    """Who did not see the 429 waits as well."""
    clock, sent = FakeClock(), []

    def answer(texts):
        sent.append(clock.time())
        if len(sent) == 1:
            raise RateLimitError("slow down", retry_after=30)
        return vectors_of(texts)

    function = scripted(answer, max_retries=0)
    with caplog.at_level(logging.ERROR), pytest.raises(RateLimitError):
        embed(function, ["a"], clock=clock)
    embed(function, ["b"], clock=clock)
    assert sent[1] - sent[0] == pytest.approx(30)


def test_calls_at_once_are_halved_by_a_refusal_and_grow_back_by_one():
    """Nobody hammers a provider that asked to slow down."""
    limiter, go = AccountLimiter("k"), Cancellation()
    limiter.succeeded(None, 0.0)
    for _ in range(8):
        limiter.enter(8, go)
    limiter.failed(Failure(FailureKind.RATE_LIMITED, 2.0), None, 10.0, None)
    limiter.failed(Failure(FailureKind.RATE_LIMITED, 2.0), None, 10.5, None)
    for _ in range(8):
        limiter.leave()
    assert places(limiter) == 4
    limiter.succeeded(None, 13.0)
    assert places(limiter) == 5


def places(limiter: AccountLimiter) -> int:
    """Return how many calls the limiter lets in at once, leaving it as it was."""
    stop, entered = Cancellation(), []

    def enter():
        try:
            limiter.enter(8, stop)
            entered.append(True)
        except StopWork:
            pass

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    while limiter._running < min(8, limiter._ceiling):
        time.sleep(0)
    stop.set()
    limiter.wake()
    for thread in threads:
        thread.join()
    for _ in entered:
        limiter.leave()
    return len(entered)


def test_one_request_goes_first_until_the_key_is_known_to_work():
    """The second request starts only after the first was answered."""
    answered, early = threading.Event(), []

    def answer(texts):
        if not answered.is_set() and "text 0" not in texts:
            early.append(texts)
        made = vectors_of(texts)
        time.sleep(0)
        answered.set()
        return made

    embed(scripted(answer, max_items=10, max_concurrency=8), TEXTS[:500])
    assert early == []


def test_declared_requests_a_minute_are_kept():
    """3,000 rows in requests of 50, 30 a minute: no window of a minute holds more."""
    clock, sent = FakeClock(), []

    def answer(texts):
        sent.append(clock.time())
        return vectors_of(texts)

    function = scripted(answer, max_items=50, max_concurrency=4, requests_per_minute=30)
    embed(function, TEXTS, clock=clock)
    assert len(sent) == 60
    assert max(sum(at <= other < at + 60 for other in sent) for at in sent) <= 30


def test_declared_tokens_a_minute_are_kept():
    """Tokens are counted, not only requests."""
    clock, sent = FakeClock(), []

    def answer(texts):
        sent.append((clock.time(), 2 * len(texts)))
        return vectors_of(texts)

    texts = [f"{at:08}" for at in range(1000)]
    function = scripted(answer, max_items=10, max_concurrency=4, tokens_per_minute=600)
    embed(function, texts, clock=clock)
    for start, _ in sent:
        assert sum(tokens for at, tokens in sent if start <= at < start + 60) <= 620


def test_rate_headers_slow_the_caller_down():
    """What the provider says is left is what is sent."""
    clock, state = FakeClock(), {"left": 5.0, "at": None}
    overdrawn = []

    def answer(texts):
        now = clock.time()
        state["left"] = min(5.0, state["left"] + (now - (state["at"] or now)) / 2)
        state["at"] = now
        state["left"] -= 1
        overdrawn.append(state["left"] < -1e-6)
        left = max(0, int(state["left"]))
        record_rate(
            RateStatus(limit_requests=5, remaining_requests=left, reset_requests=(5 - left) * 2.0)
        )
        return vectors_of(texts)

    function = scripted(answer, max_items=10, max_concurrency=1)
    embed(function, TEXTS[:300], clock=clock)
    assert not any(overdrawn)


def test_a_pause_longer_than_the_deadline_fails_instead_of_hanging(caplog):
    """An hour is not waited for where ten minutes are allowed."""

    def answer(texts):
        raise RateLimitError("come back later", retry_after=3600)

    function = scripted(answer)
    with caplog.at_level(logging.ERROR), pytest.raises(RateLimitError) as caught:
        embed(function, ["a"], clock=FakeClock())
    assert (caught.value.retry_after, len(function.asked)) == (3600, 1)


ABSURD = [1e9, 3601.0, math.inf, math.nan, -5.0]


@pytest.mark.parametrize("pause", ABSURD)
def test_a_server_that_asks_for_an_absurd_pause_is_called_again_soon(pause, caplog, tmp_path):
    """More than an hour is no time to wait for: back off, and forget it once the server is well."""
    clock, first = FakeClock(), iter([True])

    def answer(texts):
        if next(first, False):
            raise RateLimitError("go away", retry_after=pause)
        return vectors_of(texts)

    function = scripted(answer)
    pipeline = Pipeline(tmp_path / "cache.sqlite", clock=clock)
    began = clock.time()
    with caplog.at_level(logging.ERROR):
        embed(function, ["a"], pipeline=pipeline)
        embed(function, ["b"], pipeline=pipeline)
    pipeline.close()
    assert len(function.asked) == 3
    assert clock.time() - began < 2


@pytest.mark.parametrize(
    "rate",
    [
        RateStatus(limit_requests=1, remaining_requests=0, reset_requests=99_999),
        RateStatus(limit_requests=10**9, remaining_requests=0, reset_requests=math.inf),
        RateStatus(limit_tokens=1, remaining_tokens=0, reset_tokens=1e300),
        RateStatus(limit_tokens=1, remaining_tokens=1, reset_tokens=0),
    ],
)
def test_absurd_rate_headers_shut_nobody_out(rate, caplog):
    """A healthy server is called on, at most a minute's allowance later each time."""
    clock = FakeClock()

    def answer(texts):
        record_rate(rate)
        return vectors_of(texts)

    function = scripted(answer)
    began = clock.time()
    for at in range(5):
        embed(function, [f"{at} " * 4000], clock=clock)
    assert clock.time() - began <= 5 * 60


def test_what_a_server_said_can_be_forgotten(tmp_path, caplog):
    """After ``reset_limits`` an account that was blocked for an hour is called at once."""
    clock, first = FakeClock(), iter([True])

    def answer(texts):
        if next(first, False):
            raise RateLimitError("later", retry_after=3000)
        return vectors_of(texts)

    function = scripted(answer)
    pipeline = Pipeline(tmp_path / "cache.sqlite", clock=clock)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            with pytest.raises(RateLimitError):
                embed(function, ["a"], pipeline=pipeline)
    pipeline.reset_limits()
    began = clock.time()
    embed(function, ["a"], pipeline=pipeline)
    pipeline.close()
    assert (clock.time(), len(function.asked)) == (began, 2)


def test_a_forked_child_shares_no_limiter_with_its_parent():
    """A lock that another thread of the parent held would never be let go in the child."""
    function = scripted()
    limiter = limiter_of(function)
    child = os.fork()
    if child == 0:
        os._exit(0 if limiter_of(function) is not limiter else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_concurrency_is_bounded_by_the_option():
    """``concurrency=`` bounds one call."""
    running, most = 0, 0
    lock = threading.Lock()

    def answer(texts):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        made = vectors_of(texts)
        with lock:
            running -= 1
        return made

    embed(scripted(answer, max_items=5, max_concurrency=16), TEXTS[:500], concurrency=2)
    assert most <= 2


def test_event_loops_share_the_gate_of_their_process():
    """Two loops in two threads never have more calls running than the function allows."""
    running, most = 0, 0
    lock = threading.Lock()

    def answer(texts):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        made = vectors_of(texts)
        with lock:
            running -= 1
        return made

    function = scripted(answer, max_items=5, max_concurrency=3)

    async def work() -> None:
        await asyncio.gather(*(asyncio.to_thread(embed, function, TEXTS[:100]) for _ in range(3)))

    loops = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(2)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    assert most <= 3


def test_requests_in_parallel_finish_in_the_order_of_the_rows():
    """A later answer that comes first waits for its place."""
    release = threading.Event()

    def answer(texts):
        if "text 10" in texts:
            assert release.wait(30)
        if "text 90" in texts:
            release.set()
        return vectors_of(texts)

    function = scripted(answer, max_items=10, max_concurrency=12)
    out, _ = embed(function, TEXTS[:200], rows=5)
    assert [text for batch in out for text in batch.batch.column("text").to_pylist()] == TEXTS[:200]


def test_a_block_is_shared_through_the_file(tmp_path):
    """A second process sees the pause that the first was asked for."""
    file = CacheFile(tmp_path / "cache.sqlite")
    SharedLimits(file).block("openai/m/x", 2000.0, 1000.0)
    file.close()
    other = CacheFile(tmp_path / "cache.sqlite")
    seen = SharedLimits(other).blocked_until("openai/m/x", 1000.0)
    other.close()
    assert seen == 2000.0


def test_a_block_from_a_clock_that_was_wrong_is_ignored(tmp_path):
    """Nobody waits for days, and what is really asked for later is not hidden by it."""
    file = CacheFile(tmp_path / "cache.sqlite")
    shared = SharedLimits(file)
    shared.block("k", 10**9, 10**9 - 5)
    assert shared.blocked_until("k", 1000.0) == 0.0
    shared.block("k", 1030.0, 1000.0)
    assert shared.blocked_until("k", 1000.0) == 1030.0
    shared.block("k", 1010.0, 1000.0)
    assert shared.blocked_until("k", 1000.0) == 1030.0
    file.close()


_TAKER = """
import sys, time
from embow.embeddings.types import Limits
from embow.pipeline._cachefile import CacheFile
from embow.pipeline._calls import REQUEST_ITEMS
from embow.pipeline._sharedlimits import SharedLimits
shared = SharedLimits(CacheFile(sys.argv[1]))
taken = sum(shared.take("k", Limits(requests_per_minute=600), 1, 1000.0) <= 0 for _ in range(200))
print(taken)
"""


def test_processes_share_the_requests_of_a_minute(tmp_path):
    """Two processes at the same instant get one burst between them."""
    path = str(tmp_path / "cache.sqlite")
    running = [
        subprocess.Popen([sys.executable, "-c", _TAKER, path], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    taken = [int(process.communicate()[0]) for process in running]
    assert sum(taken) == 60


def test_the_gate_of_a_key_waits_for_what_another_process_was_told(tmp_path):
    """A call made here starts only when the pause asked for elsewhere is over."""
    clock, sent = FakeClock(), []

    def answer(texts):
        sent.append(clock.time())
        return vectors_of(texts)

    function = scripted(answer)
    pipeline = Pipeline(tmp_path / "cache.sqlite", clock=clock)
    key = "/".join((function.name_of_provider(), function.name, function.account()))
    until = clock.time() + 30
    SharedLimits(pipeline._file).block(key, until, clock.time())
    embed(function, ["a"], pipeline=pipeline)
    pipeline.close()
    assert sent == [pytest.approx(until)]


def test_full_requests_are_sent_where_requests_are_scarce():
    """With requests a minute declared, each carries as much as it may."""
    few = scripted(max_items=2048, max_concurrency=8, requests_per_minute=1000)
    many = scripted(max_items=2048, max_concurrency=8)
    for function in (few, many):
        list(
            Pipeline(None, clock=FakeClock()).embed_batches(
                rows_of(TEXTS), [job(function)], PipelineOptions(), AddReport()
            )
        )
    assert (len(few.asked), len(many.asked)) == (2, math.ceil(3000 / REQUEST_ITEMS))
