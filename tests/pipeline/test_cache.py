"""The cache: never pay twice, and never fail because of it."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from embow.embeddings import EmbeddingFunction
from embow.embeddings.types import operational
from embow.errors import BadInputError, ConfigurationError
from embow.pipeline import AddReport, EmbedJob, Pipeline, PipelineOptions, SourceRows
from embow.pipeline._cache import EmbeddingCache, cache_file, cache_size, default_cache_path
from embow.pipeline._cached import SAMPLE
from embow.pipeline._cachefile import CacheFile
from scripted import FakeClock, LocalScripted, column, embed, job, rows_of, scripted, vectors_of

TEXTS = [f"text {at}" for at in range(300)]
SPACE = bytes(range(16))


@pytest.fixture
def path(tmp_path):
    """Return where the cache is."""
    return tmp_path / "cache.sqlite"


def digest(number: int) -> bytes:
    """Return a digest that only this number has."""
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def rows(numbers) -> np.ndarray:
    """Return a vector for each number."""
    return np.array([[n, n + 1, n + 2] for n in numbers], dtype=np.float32).reshape(-1, 3)


@settings(max_examples=40, deadline=None)
@given(
    writes=st.lists(
        st.lists(st.integers(0, 200), min_size=1, max_size=40, unique=True), max_size=40
    ),
    asked=st.lists(st.integers(0, 220), unique=True, max_size=60),
)
def test_the_cache_gives_back_what_was_put(tmp_path_factory, writes, asked):
    """Any digests in any writes are found again with their own vectors, others are not."""
    file = CacheFile(tmp_path_factory.mktemp("c") / "cache.sqlite")
    cache = EmbeddingCache(file)
    for numbers in writes:
        cache.put(SPACE, [digest(n) for n in numbers], rows(numbers))
    found, vectors = cache.get(SPACE, [digest(n) for n in asked], 3)
    other, _ = cache.get(bytes(16), [digest(n) for n in asked], 3)
    file.close()
    known = {n for numbers in writes for n in numbers}
    assert {asked[at] for at in found} == known & set(asked)
    np.testing.assert_array_equal(vectors, rows([asked[at] for at in found]))
    assert other == []


def test_what_is_cached_is_not_asked_again(path):
    """A second call with a new pipeline costs nothing and gives the same bytes."""
    first = scripted(name="m", max_items=10)
    pipeline = Pipeline(path)
    before, _ = embed(first, TEXTS, pipeline=pipeline)
    pipeline.close()
    second = scripted(name="m")
    pipeline = Pipeline(path)
    after, report = embed(second, TEXTS, pipeline=pipeline)
    pipeline.close()
    assert (second.asked, report.cached, report.embedded) == ([], 300, 0)
    assert column(before).tobytes() == column(after).tobytes()


def test_another_model_or_role_shares_nothing(path):
    """The key holds the identity and the role."""
    pipeline = Pipeline(path)
    embed(scripted(name="m"), ["a"], pipeline=pipeline)
    other, query = scripted(name="other"), scripted(name="m")
    embed(other, ["a"], pipeline=pipeline)
    pipeline.embed_queries(query, "a")
    pipeline.close()
    assert (other.sent, query.sent) == (1, 1)


def test_queries_are_cached(path):
    """The same query is asked once."""
    function, pipeline = scripted(), Pipeline(path)
    first = pipeline.embed_queries(function, ["a", "b"])
    second = pipeline.embed_queries(function, ["b", "a", "c"])
    pipeline.close()
    assert function.asked == [["a", "b"], ["c"]]
    np.testing.assert_array_equal(second[:2], first[::-1])


def slow(clock: FakeClock, seconds: float, answer=vectors_of):
    """Return what answers for a local model that takes so long for each text."""

    def answered(texts):
        clock.wait(seconds * len(texts), threading.Event())
        return answer(texts)

    return answered


def local(answer, **settings):
    """Return a local model by the name every test here gives it."""
    return scripted(answer, local=True, name="local", **settings)


def run(path, function, texts, clock=None, **options):
    """Embed texts in what is a process of its own to the cache."""
    pipeline = Pipeline(path, clock=clock)
    out, report = embed(function, texts, pipeline=pipeline, **options)
    pipeline.close()
    return out, report


def test_what_a_slow_local_model_made_is_kept(path):
    """The next process embeds the sample and nothing else; neither report nor rows know of it."""
    clock = FakeClock()
    first = local(slow(clock, 0.01))
    _, before = run(path, first, TEXTS, clock)
    second = local(slow(clock, 0.01))
    out, after = run(path, second, TEXTS, clock)
    assert (before.embedded, before.cached, first.sent) == (300, 0, 301)
    assert (after.embedded, after.cached, after.tokens, after.requests) == (0, 300, 0, 0)
    assert second.asked == [[SAMPLE]]
    np.testing.assert_array_equal(column(out), vectors_of(TEXTS))


def test_what_a_fast_local_model_made_is_not_kept(path):
    """Nothing is written, and no sample is embedded."""
    clock = FakeClock()
    function = local(slow(clock, 1e-6))
    run(path, function, TEXTS, clock)
    run(path, function, TEXTS, clock)
    assert function.sent == 600


def test_what_is_soon_done_again_is_not_kept(path):
    """A row at a time of a model that takes ten milliseconds leaves the cache alone."""
    clock = FakeClock()
    function = local(slow(clock, 0.01))
    run(path, function, ["a"], clock)
    run(path, function, ["a"], clock)
    assert function.asked == [["a"], ["a"]]


@pytest.mark.parametrize(("cache", "sent"), [(False, 600), (True, 302)])
def test_a_call_may_say_whether_a_local_model_is_cached(path, cache, sent):
    """``False`` never, ``True`` always, whatever it costs to make a vector."""
    clock = FakeClock()
    function = local(slow(clock, 0 if cache else 1))
    run(path, function, TEXTS, clock, cache=cache)
    run(path, function, TEXTS, clock, cache=cache)
    assert function.sent == sent


def test_another_local_model_behind_the_same_name_loses_its_part(path, caplog):
    """Its vectors are its own, a warning says so, and from then on its part is used."""
    clock = FakeClock()
    run(path, local(slow(clock, 0.01)), TEXTS, clock)
    other = local(slow(clock, 0.01, lambda texts: vectors_of([text[::-1] for text in texts])))
    with caplog.at_level(logging.WARNING):
        out, report = run(path, other, TEXTS, clock)
        _, again = run(path, other, TEXTS, clock)
    np.testing.assert_array_equal(column(out), vectors_of([text[::-1] for text in TEXTS]))
    assert (report.cached, again.cached) == (0, 300)
    assert caplog.text.count("Another model than before") == 1


def test_a_class_defined_anew_is_looked_at_anew(path):
    """As in a notebook, where the process stays and the code of the class changes."""

    class Local(LocalScripted):
        provider_id: ClassVar[str | None] = "local-scripted"

    clock = FakeClock()
    pipeline = Pipeline(path, clock=clock)
    first = local(slow(clock, 0.01))
    embed(first, TEXTS, pipeline=pipeline)
    second = Local(name="local")
    second._answer = slow(clock, 0.01, lambda texts: -vectors_of(texts))
    out, _ = embed(second, TEXTS, pipeline=pipeline)
    pipeline.close()
    assert second.fingerprint() == first.fingerprint()
    np.testing.assert_array_equal(column(out), -vectors_of(TEXTS))


def test_a_sample_that_cannot_be_embedded_leaves_the_part_alone(path):
    """The rows are embedded, and what was kept is there for the next process."""
    clock = FakeClock()
    run(path, local(slow(clock, 0.01)), TEXTS, clock)

    def answer(texts):
        if SAMPLE in texts:
            raise BadInputError("not today")
        return vectors_of(texts)

    failing = local(answer)
    _, without = run(path, failing, TEXTS, clock)
    _, with_it = run(path, local(slow(clock, 0.01)), TEXTS, clock)
    assert (without.cached, without.embedded, with_it.cached) == (0, 300, 300)


def test_queries_of_local_models_are_not_kept(path):
    """One is computed and waited for; a process that dies loses nothing of it."""
    clock = FakeClock()
    function, pipeline = local(slow(clock, 1)), Pipeline(path, clock=clock)
    pipeline.embed_queries(function, "a")
    pipeline.embed_queries(function, "a")
    pipeline.close()
    assert function.asked == [["a"], ["a"]]


def test_an_estimate_asks_a_local_model_nothing(path):
    """It counts what is kept, without the look at the model."""
    clock = FakeClock()
    run(path, local(slow(clock, 0.01)), TEXTS, clock)
    function, pipeline = local(slow(clock, 0.01)), Pipeline(path)
    found = pipeline.estimate(rows_of(TEXTS), [job(function)])
    pipeline.close()
    assert (found.cached, function.sent) == (300, 0)


class Sizes(EmbeddingFunction):
    """A local model of bytes, not of text."""

    provider_id: ClassVar[str | None] = "sizes"
    factor: Annotated[float, operational] = 1.0
    asked: Annotated[list[bytes], operational] = Field(default_factory=list)

    def ndims(self) -> int:
        return 2

    def compute_source_embeddings(self, inputs, *args, **kwargs):
        self.asked.extend(inputs)
        return [[len(value), self.factor] for value in inputs]

    def compute_query_embeddings(self, query, *args, **kwargs):
        return self.compute_source_embeddings(query)


@pytest.mark.parametrize(("factor", "cached", "asked"), [(1.0, 3, 1), (-1.0, 0, 4)])
def test_the_sample_of_a_model_that_takes_no_text_is_one_of_its_inputs(path, factor, cached, asked):
    """It is embedded again by each process, and decides whether the part is used."""
    rows = pa.record_batch({"data": [b"a", b"bb", b"ccc"]})
    for function in (Sizes(), other := Sizes(factor=factor)):
        pipeline, report = Pipeline(path), AddReport()
        wanted = EmbedJob(function, "data", "vector", 2)
        options = PipelineOptions(cache=True)
        list(pipeline.embed_batches([SourceRows(rows)], [wanted], options, report))
        pipeline.close()
    assert (report.cached, len(other.asked), other.asked[0]) == (cached, asked, b"a")


def test_responses_are_kept_before_the_call_ends(path):
    """Each response is written when it arrives, not when the rows are taken."""
    pipeline = Pipeline(path)
    function = scripted(max_items=10, max_concurrency=2)
    many = [f"t{at}" for at in range(20_000)]
    calls = iter(range(50))

    def answer(texts):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return vectors_of(texts)

    function._answer = answer
    with pytest.raises(KeyboardInterrupt):
        embed(function, many, pipeline=pipeline)
    function._answer = vectors_of
    _, report = embed(function, many, pipeline=pipeline)
    pipeline.close()
    assert report.cached == 500


def test_a_damaged_file_is_set_aside(path, caplog):
    """An add goes on with a new cache and says where the old one is."""
    path.write_bytes(b"this is not a database, and never was" * 100)
    pipeline = Pipeline(path)
    with caplog.at_level(logging.WARNING):
        out, _ = embed(scripted(), TEXTS, pipeline=pipeline)
    again = scripted(name="n")
    embed(again, TEXTS, pipeline=pipeline)
    embed(again, TEXTS, pipeline=pipeline)
    pipeline.close()
    np.testing.assert_array_equal(column(out), vectors_of(TEXTS))
    assert "cannot be read" in caplog.text
    assert again.sent == 300
    assert [p for p in path.parent.iterdir() if "damaged" in p.name]


@pytest.mark.parametrize("seed", range(6))
def test_flipped_bytes_never_fail_an_add_nor_give_a_wrong_vector(path, seed):
    """Whatever is broken in the file, the rows come out with their own vectors."""
    pipeline = Pipeline(path)
    function = scripted(name="m", max_items=20)
    embed(function, TEXTS, pipeline=pipeline)
    pipeline.close()
    raw = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for at in random.integers(0, len(raw), 10 * 4**seed):
        raw[at] ^= 0xFF
    path.write_bytes(raw)
    pipeline = Pipeline(path)
    out, _ = embed(function, TEXTS, pipeline=pipeline)
    pipeline.close()
    np.testing.assert_array_equal(column(out), vectors_of(TEXTS))


def test_a_file_deleted_while_in_use_is_made_again(path):
    """Two users of one file both go on, and share the new one."""
    one, two = Pipeline(path), Pipeline(path)
    function = scripted()
    embed(function, ["a"], pipeline=one)
    embed(function, ["a"], pipeline=two)
    for file in path.parent.iterdir():
        file.unlink()
    embed(function, ["b"], pipeline=one)
    embed(function, ["b"], pipeline=two)
    one.close()
    embed(function, ["b", "c"], pipeline=two)
    two.close()
    three = Pipeline(path)
    embed(function, ["b", "c"], pipeline=three)
    three.close()
    assert function.sent == 3


def test_a_log_left_by_a_deleted_file_is_not_replayed(path):
    """Deleting only the main file leaves nothing that could come back wrong."""
    pipeline = Pipeline(path)
    embed(scripted(name="m"), TEXTS, pipeline=pipeline)
    path.unlink()
    function = scripted(name="m")
    embed(function, TEXTS, pipeline=pipeline)
    embed(function, TEXTS, pipeline=pipeline)
    pipeline.close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        (healthy,) = db.execute("PRAGMA integrity_check").fetchone()
    assert (function.sent, healthy) == (300, "ok")


def test_a_full_disk_turns_the_cache_off_with_one_warning(path, caplog):
    """SQLite's own 'disk is full' is met by going on without."""
    pipeline = Pipeline(path)
    embed(scripted(), ["a"], pipeline=pipeline)
    pipeline._file.run(lambda db: db.execute("PRAGMA max_page_count = 1"), None)
    with caplog.at_level(logging.WARNING):
        out, _ = embed(scripted(), many := [f"t{at}" for at in range(5000)], pipeline=pipeline)
    pipeline.close()
    np.testing.assert_array_equal(column(out), vectors_of(many))
    assert caplog.text.count("going on without it") == 1


def test_a_folder_that_cannot_be_made_turns_the_cache_off(tmp_path, caplog):
    """A cache path under a file is a warning, not an error."""
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        out, _ = embed(scripted(), ["a"], pipeline=Pipeline(tmp_path / "file" / "cache.sqlite"))
    assert "cannot be used" in caplog.text
    assert out[0].valid["vector"].all()


def test_another_programs_database_is_left_alone(path, caplog):
    """``EMBOW_CACHE`` that names a foreign file does not write into it."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE theirs(x)")
    db.close()
    before = path.read_bytes()
    with caplog.at_level(logging.WARNING):
        embed(scripted(), ["a"], pipeline=Pipeline(path))
    assert path.read_bytes() == before
    assert "another program" in caplog.text


def test_the_cache_stays_within_its_size_and_drops_what_was_not_used(path):
    """Old vectors leave; the file does not outgrow the size by much."""
    size = 2_000_000
    file = CacheFile(path)
    cache = EmbeddingCache(file, size)
    wide = np.ones((100, 500), dtype=np.float32)
    for number in range(40):
        cache.put(SPACE, [digest(number * 100 + at) for at in range(100)], wide)
        cache.get(SPACE, [digest(0)], 500)
    kept, _ = cache.get(SPACE, [digest(at) for at in range(4000)], 500)
    file.close()
    assert path.stat().st_size < size * 1.4
    assert 0 in kept
    assert 3999 in kept
    assert 150 not in kept


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("512MB", 512 * 1024**2), ("1.5 GB", 3 * 1024**3 // 2), ("2GiB", 2 * 1024**3)],
)
def test_the_size_is_read_from_the_environment(monkeypatch, text, size):
    """Units as people write them."""
    monkeypatch.setenv("EMBOW_CACHE_SIZE", text)
    assert cache_size() == size


def test_a_size_that_is_none_is_an_error(monkeypatch):
    """The message says what to write."""
    monkeypatch.setenv("EMBOW_CACHE_SIZE", "lots")
    with pytest.raises(ConfigurationError, match="512MB"):
        cache_size()


def test_size_zero_turns_the_cache_off(path, monkeypatch):
    """Nothing is kept."""
    monkeypatch.setenv("EMBOW_CACHE_SIZE", "0")
    function, pipeline = scripted(), Pipeline(path)
    embed(function, ["a"], pipeline=pipeline)
    embed(function, ["a"], pipeline=pipeline)
    pipeline.close()
    assert function.sent == 2


def test_the_environment_names_the_file(monkeypatch, tmp_path):
    """``EMBOW_CACHE`` wins; a folder stands for a file in it."""
    monkeypatch.setenv("EMBOW_CACHE", str(tmp_path))
    assert cache_file("/elsewhere/cache.sqlite") == tmp_path / "cache.sqlite"


def test_databases_without_a_folder_share_the_users_cache(monkeypatch, tmp_path):
    """The file lies in the folder that this system keeps caches in, made where it is missing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    path = default_cache_path()
    assert (path.name, path.parent.is_dir()) == ("cache.sqlite", True)
    assert tmp_path in path.parents


def test_many_threads_write_one_file(path):
    """Nothing is lost or mixed up."""
    file = CacheFile(path)
    cache = EmbeddingCache(file)

    def write(start: int) -> None:
        for at in range(start, start + 200, 10):
            numbers = range(at, at + 10)
            cache.put(SPACE, [digest(n) for n in numbers], rows(numbers))

    threads = [threading.Thread(target=write, args=(start,)) for start in range(0, 1000, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found, vectors = cache.get(SPACE, [digest(n) for n in range(1000)], 3)
    file.close()
    np.testing.assert_array_equal(vectors, rows(found))
    assert sorted(found) == list(range(1000))


_WRITER = """
import sys, hashlib, numpy as np
from embow.pipeline._cache import EmbeddingCache
from embow.pipeline._cachefile import CacheFile
cache = EmbeddingCache(CacheFile(sys.argv[1]))
for at in range(int(sys.argv[2]), int(sys.argv[2]) + 300, 10):
    ds = [hashlib.blake2b(str(n).encode(), digest_size=16).digest() for n in range(at, at + 10)]
    cache.put(bytes(range(16)), ds, np.array([[n, n + 1, n + 2] for n in range(at, at + 10)], 'f4'))
"""


def test_processes_share_one_file(path):
    """Three processes write at once; all of it is there."""
    running = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(start)])
        for start in (0, 300, 600)
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    file = CacheFile(path)
    found, vectors = EmbeddingCache(file).get(SPACE, [digest(n) for n in range(900)], 3)
    file.close()
    assert sorted(found) == list(range(900))
    np.testing.assert_array_equal(vectors, rows(found))


def test_the_cache_of_a_forked_process_is_its_own(path):
    """A connection is never used on both sides of a fork: the child opens its own."""
    file = CacheFile(path)
    cache = EmbeddingCache(file)
    cache.put(SPACE, [digest(1)], rows([1]))
    file._held.pid = -1  # as the child sees it
    found, _ = cache.get(SPACE, [digest(1)], 3)
    file.close()
    assert found == [0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_forked_while_a_thread_writes_goes_on(path):
    """The lock that thread holds is nobody's in the child."""
    file = CacheFile(path)
    cache = EmbeddingCache(file)
    cache.put(SPACE, [digest(1)], rows([1]))
    inside, done = threading.Event(), threading.Event()

    def write(_):
        inside.set()
        done.wait()

    thread = threading.Thread(target=file.run, args=(write, None))
    thread.start()
    inside.wait()
    child = os.fork()
    if not child:
        signal.alarm(20)
        found, _ = cache.get(SPACE, [digest(1)], 3)
        os._exit(found != [0])
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    file.close()
    assert status == 0


def test_vectors_of_several_threads_that_cannot_be_kept_are_let_go(path):
    """Memory does not grow where the cache is off."""
    file = CacheFile(path / "missing")
    path.write_text("")
    cache = EmbeddingCache(file)
    for number in range(3):
        cache.put(SPACE, [digest(number)], rows([number]))
    assert len(cache._waiting) == 0


def test_the_shape_of_the_answer_does_not_depend_on_hits(path):
    """No hits give an empty array of the right width."""
    file = CacheFile(path)
    found, vectors = EmbeddingCache(file).get(SPACE, [digest(1)], 3)
    file.close()
    assert (found, vectors.shape) == ([], (0, 3))
