"""Rows in, vectors out: order, alignment, dedupe, packing."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embow.embeddings import require_texts
from embow.errors import BadInputError, EmbowError
from embow.pipeline import AddReport, EmbedJob, Pipeline, PipelineOptions, content_hashes
from embow.pipeline._requests import Caps, Queue, Request
from scripted import (
    NDIMS,
    column,
    embed,
    job,
    rows_of,
    scripted,
    validity,
    vector_of,
    vectors_of,
)

TEXTS = st.lists(
    st.one_of(st.none(), st.text("ab \n", max_size=3), st.text(max_size=5)), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(
    texts=TEXTS,
    rows=st.integers(1, 20),
    items=st.integers(1, 9),
    concurrency=st.integers(1, 4),
    cache=st.booleans(),
)
def test_every_row_gets_the_vector_of_its_own_text(
    texts, rows, items, concurrency, cache, tmp_path_factory
):
    """Whatever the batches, limits and repeats, vectors stay beside their texts."""
    path = tmp_path_factory.mktemp("cache") / "cache.sqlite" if cache else None
    function = scripted(max_items=items, max_concurrency=concurrency)
    pipeline = Pipeline(path)
    out, report = embed(function, texts, pipeline=pipeline, rows=rows)
    pipeline.close()
    present = [text is not None and text.strip() != "" for text in texts]
    assert [t for b in out for t in b.batch.column("text").to_pylist()] == texts
    if texts:
        assert validity(out).tolist() == present
        for text, here, vector in zip(texts, present, column(out), strict=True):
            expected = vector_of(text) if here else np.zeros(NDIMS)
            np.testing.assert_array_equal(vector, expected)
    assert all(len(asked) <= items for asked in function.asked)
    assert report.embedded + report.cached + report.deduplicated == sum(present)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    most_tokens=st.integers(3, 20),
    most_bytes=st.integers(10, 80),
)
def test_packing_keeps_every_limit_unless_one_input_alone_breaks_it(
    lengths, most_tokens, most_bytes
):
    """A request over a limit holds exactly one input."""
    function = scripted(max_tokens_per_request=most_tokens, max_bytes_per_request=most_bytes)
    embed(function, [f"{at:03}" + "x" * length for at, length in enumerate(lengths)])
    for asked in function.asked:
        tokens = sum(function.count_tokens(asked))
        size = sum(len(text) for text in asked)
        assert len(asked) == 1 or (tokens <= most_tokens and size <= most_bytes)


@given(
    inputs=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=40),
    items=st.integers(1, 10),
    tokens=st.none() | st.integers(1, 30),
    size=st.none() | st.integers(1, 30),
    chunk=st.integers(1, 12),
)
def test_packing_is_greedy(inputs, items, tokens, size, chunk):
    """Each request takes inputs in order for as long as every limit holds, at least one."""
    queue, caps = Queue(), Caps(items, tokens, size)
    for start in range(0, len(inputs), chunk):
        part = inputs[start : start + chunk]
        counts, sizes = np.array(part).T
        queue.put(
            Request([*range(start, start + len(part))], [None] * len(part), counts, sizes, [])
        )
    position = 0
    while queue.items:
        taken = queue.take(caps).values
        fits = 1
        while position + fits < len(inputs) and fits < items:
            total, weight = np.array(inputs[position : position + fits + 1]).sum(0)
            if (tokens is not None and total > tokens) or (size is not None and weight > size):
                break
            fits += 1
        assert taken == [*range(position, position + fits)]
        position += fits
    assert (position, queue.tokens, queue.size) == (len(inputs), 0, 0)


def test_equal_inputs_of_a_call_are_sent_once():
    """Repeats in one batch and across batches in the window cost nothing."""
    function = scripted(max_items=7)
    out, report = embed(function, ["a", "b", "a", "c"] * 50, rows=30)
    assert (function.sent, report.embedded, report.deduplicated) == (3, 3, 197)
    np.testing.assert_array_equal(column(out), vectors_of(["a", "b", "a", "c"] * 50))


def test_two_columns_of_one_function_share_the_calls():
    """A second vector column from the same source with the same function is free."""
    function = scripted()
    jobs = [job(function, "one"), job(function, "two")]
    stream = Pipeline(None).embed_batches(
        rows_of(["a", "b"]), jobs, PipelineOptions(), report := AddReport()
    )
    (out,) = list(stream)
    np.testing.assert_array_equal(out.vectors["one"], out.vectors["two"])
    assert (function.sent, report.deduplicated) == (2, 2)


def test_functions_that_differ_each_embed_their_column():
    """Two functions in one call keep to their own columns."""
    plain, negative = scripted(), scripted(lambda texts: -vectors_of(texts))
    jobs = [job(plain, "plain"), job(negative, "negative")]
    (out,) = Pipeline(None).embed_batches(rows_of(["a"]), jobs, PipelineOptions(), AddReport())
    np.testing.assert_array_equal(out.vectors["plain"], -out.vectors["negative"])


def test_rows_that_need_nothing_are_not_sent_but_are_hashed():
    """``needs`` leaves rows out; their hash is still there."""
    function = scripted()
    (rows,) = rows_of(["a", "b", "c"])
    needs = {"vector": np.array([False, True, False])}
    stream = Pipeline(None).embed_batches(
        [replace(rows, needs=needs)], [job(function)], PipelineOptions(), AddReport()
    )
    (out,) = list(stream)
    assert function.asked == [["b"]]
    assert out.needs["vector"].tolist() == [False, True, False]
    assert out.valid["vector"].tolist() == [False, True, False]
    assert out.hashes["vector"].null_count == 0


@pytest.mark.parametrize("nothing", [None, "", "  \t\n", "\u3000"])
def test_nothing_to_embed_is_no_call_no_vector_no_hash_and_no_failure(nothing):
    """Null, empty and white space mean the same."""
    function = scripted()
    out, report = embed(function, [nothing])
    assert not function.asked
    assert (validity(out).any(), out[0].hashes["vector"].null_count) == (False, 1)
    assert (report.failed, report.embedded) == ([], 0)


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a", None, "b"], pa.string()),
        pa.array(["a", None, "b"], pa.large_string()),
        pa.array(["a", None, "b"], pa.string_view()),
        pa.array(["a", None, "b"]).dictionary_encode(),
        pa.array(["x", "a", None, "b"]).slice(1),
    ],
    ids=["string", "large", "view", "dictionary", "slice"],
)
def test_the_hash_of_a_text_does_not_depend_on_how_arrow_holds_it(array):
    """All string layouts give the same hashes."""
    assert content_hashes(array).equals(content_hashes(pa.array(["a", None, "b"])))


def test_the_content_hash_never_changes():
    """Stored hashes stay true in later versions: BLAKE2b, 16 bytes, of the UTF-8 text."""
    (text,) = content_hashes(pa.array(["grüße"])).to_pylist()
    (raw,) = content_hashes(pa.array(["grüße".encode()])).to_pylist()
    assert text.hex() == "63b23eae40771eb4f3b009505a434daf"
    assert raw.hex() == "a158869a82529f2580ad683c729f0e6c"


@pytest.mark.parametrize(
    "array",
    [
        pa.array([b"a", b"", None]),
        pa.array([b"ab", b"cd"], pa.binary(2)),
        pa.array([[1.0, 2.0], None]),
        pa.array([{"x": 1}, {"x": 2}]),
    ],
    ids=["binary", "fixed binary", "list", "struct"],
)
def test_other_types_have_hashes_too(array):
    """Every present value has a hash of its own."""
    hashes = content_hashes(array).to_pylist()
    expected = [value not in (None, b"") for value in array.to_pylist()]
    assert [h is not None for h in hashes] == expected
    assert len({h for h in hashes if h}) == sum(expected)


def test_large_batches_are_cut_and_positions_go_on():
    """Batches of any size come out in bounded ones, numbered through."""
    out, _ = embed(scripted(local=True), [f"t{at}" for at in range(10_000)], rows=10_000)
    ends = [batch.first_row + batch.batch.num_rows for batch in out]
    assert [batch.first_row for batch in out[1:]] == ends[:-1]
    assert (len(out) > 1, ends[-1]) == (True, 10_000)


def test_no_batches_give_nothing():
    """An empty input makes no call."""
    function = scripted()
    out, _ = embed(function, [])
    assert (out, function.asked) == ([], [])


def test_closing_the_stream_early_ends_all_threads_and_sends_nothing_more():
    """A closed generator leaves no thread behind."""
    function = scripted(max_items=2, max_concurrency=4)
    stream = Pipeline(None).embed_batches(
        rows_of((f"t{at}" for at in range(100_000)), rows=10),
        [job(function)],
        PipelineOptions(),
        AddReport(),
    )
    next(stream)
    stream.close()
    sent = function.sent
    assert not [t for t in threading.enumerate() if t.name == "embow-embed"]
    assert sent < 20_000
    assert function.sent == sent


def test_input_is_read_only_a_window_ahead():
    """However long the input, only a bounded part of it is read before results are taken."""
    read = 0

    def endless():
        nonlocal read
        while True:
            yield from rows_of([f"t{read}"] * 100, rows=100)
            read += 100

    stream = Pipeline(None).embed_batches(
        endless(), [job(scripted(local=True))], PipelineOptions(), AddReport()
    )
    next(stream)
    stream.close()
    assert read < 10_000


def test_an_error_of_the_source_comes_out_as_it_is():
    """What the user's generator raises is not wrapped, and no thread stays."""

    def source():
        yield from rows_of(["a"])
        raise KeyError("mine")

    stream = Pipeline(None).embed_batches(
        source(), [job(scripted())], PipelineOptions(), AddReport()
    )
    with pytest.raises(KeyError, match="mine"):
        list(stream)
    assert not [t for t in threading.enumerate() if t.name == "embow-embed"]


def test_many_threads_share_one_pipeline(tmp_path):
    """Adds from several threads each get their own rows right."""
    pipeline = Pipeline(tmp_path / "cache.sqlite")
    function = scripted(max_items=5, max_concurrency=3)
    results: dict[int, bool] = {}

    def add(number: int) -> None:
        texts = [f"{number}-{at}" for at in range(200)]
        out, _ = embed(function, texts, pipeline=pipeline, rows=17)
        results[number] = np.array_equal(column(out), vectors_of(texts))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipeline.close()
    assert results == dict.fromkeys(range(6), True)


def test_a_function_that_must_not_overlap_never_does():
    """With one call at a time, calls from two threads wait for each other."""
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

    function = scripted(answer, max_items=1, max_concurrency=1)
    texts = [f"t{at}" for at in range(60)]
    threads = [threading.Thread(target=embed, args=(function, texts)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, function.sent) == (1, 240)


def test_progress_is_told_to_a_callable():
    """The last update counts every row."""
    updates = []
    embed(scripted(), ["a"] * 50, rows=10, progress=updates.append)
    assert updates[-1].rows == 50
    assert [update.done for update in updates] == [False] * (len(updates) - 1) + [True]


def test_a_progress_callback_that_fails_loses_nothing_that_was_paid(caplog):
    """Its first error is logged, and the call goes on without it."""

    def broken(update):
        raise RuntimeError("progress")

    out, _ = embed(scripted(), [f"t{at}" for at in range(50)], rows=10, progress=broken)
    assert validity(out).all()
    assert caplog.text.count("The progress callback") == 1


def test_progress_is_told_where_nothing_is_embedded():
    """A call without jobs passes its rows on, counts them, and says when it is done."""
    updates = []
    options = PipelineOptions(progress=updates.append)
    stream = Pipeline(None).embed_batches(rows_of(["a"] * 5, 2), [], options, AddReport(), 5)
    assert [(out.first_row, out.batch.num_rows) for out in stream] == [(0, 2), (2, 2), (4, 1)]
    assert [(update.rows, update.total, update.done) for update in updates] == [
        (2, 5, False),
        (4, 5, False),
        (5, 5, False),
        (5, 5, True),
    ]


def test_a_bar_is_drawn_when_asked_for(capsys):
    """``progress=True`` writes a bar to stderr."""
    embed(scripted(), ["a"] * 50, rows=10, progress=True)
    assert "Embedding" in capsys.readouterr().err


def test_queries_are_embedded_in_their_own_role():
    """The query method of the function is called, and the answer is one array."""
    function = scripted()
    vectors = Pipeline(None).embed_queries(function, ["a", "b"])
    np.testing.assert_array_equal(vectors, vectors_of(["a", "b"]))
    assert vectors.dtype == np.float32


@pytest.mark.parametrize("empty", [None, "", " "])
def test_an_empty_query_is_an_error(empty):
    """There is nothing to search for."""
    with pytest.raises(EmbowError, match="Query 0 is empty"):
        Pipeline(None).embed_queries(scripted(), empty)


def test_an_estimate_counts_without_a_call(tmp_path):
    """Inputs, distinct ones, cached ones, tokens and requests are known beforehand."""
    pipeline = Pipeline(tmp_path / "cache.sqlite")
    function = scripted(max_items=2)
    embed(function, ["aaaaaaaa"], pipeline=pipeline)
    function.asked.clear()
    texts = ["aaaaaaaa", "bbbbbbbb", "cccccccc", "bbbbbbbb", None, "dddddddd"]
    estimate = pipeline.estimate(rows_of(texts), [job(function)])
    pipeline.close()
    assert (estimate.inputs, estimate.distinct, estimate.cached) == (5, 4, 1)
    assert (estimate.tokens, estimate.requests, function.asked) == (6, 2, [])


def test_a_job_keeps_its_length():
    """Vectors come out as float32 arrays of the job's length."""
    function = scripted()
    (out,), _ = embed(function, ["a"])
    assert EmbedJob(function, "text", "vector", NDIMS).ndims == out.vectors["vector"].shape[1]
    assert out.vectors["vector"].dtype == np.float32


@pytest.mark.parametrize("text", ["q\ud83d", "\udfff", "a" * 100_000 + "\ud800"])
def test_half_a_character_is_refused_before_any_call(text):
    """A lone surrogate in a query or a direct call is named with its place and the way out."""
    function = scripted()
    for call in (Pipeline(None).embed_queries, lambda f, x: f.compute_source_embeddings(x)):
        with pytest.raises(
            BadInputError, match=r"lone surrogate at character \d+.*replace"
        ) as caught:
            call(function, ["fine", text])
        assert caught.value.row == 1
    assert function.asked == []


def test_every_text_with_half_a_character_is_named():
    """So that their rows are set aside without asking for the others twice."""
    with pytest.raises(BadInputError) as caught:
        require_texts(["a", "\ud800", "b", "\ud801"])
    assert (caught.value.row, list(caught.value.others)) == (1, [3])
