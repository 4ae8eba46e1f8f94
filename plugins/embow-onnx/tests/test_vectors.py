"""The built-in model gives torch's vectors, whatever the input and whatever it stands beside."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from embow.embeddings import FailureKind, unload
from embow.embeddings.types import CallRecord, set_current_call
from embow.errors import BadInputError
from embow_onnx import OnnxEmbeddings
from embow_onnx.graph import Graph

Reference = tuple[list[str], NDArray[np.float32]]


def test_vectors_are_those_of_torch(func: OnnxEmbeddings, reference: Reference) -> None:
    """Each vector points where torch's points, for odd texts too."""
    texts, expected = reference
    cosines = (func.compute_source_embeddings(texts) * expected).sum(axis=1)
    assert cosines.min() > 0.99999


def test_vectors_are_float32_of_length_one(func: OnnxEmbeddings, docstrings: list[str]) -> None:
    """The form of the output is what the contract says."""
    vectors = func.compute_source_embeddings(docstrings[:50])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_its_neighbours(
    func: OnnxEmbeddings, docstrings: list[str]
) -> None:
    """A text alone and the same among long and short ones have one vector, in its place."""
    texts = docstrings[:]
    random.Random(0).shuffle(texts)
    together = func.compute_source_embeddings(texts)
    picked = range(0, len(texts), 17)
    alone = np.concatenate([func.compute_source_embeddings([texts[i]]) for i in picked])
    np.testing.assert_allclose(together[list(picked)], alone, atol=1e-5)


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 300}, {"threads": 1}])
def test_operational_settings_change_nothing(
    func: OnnxEmbeddings, docstrings: list[str], settings: dict[str, Any]
) -> None:
    """Batch size and threads decide on speed alone."""
    other = OnnxEmbeddings.create(**settings)
    texts = docstrings[:40]
    np.testing.assert_allclose(
        other.compute_source_embeddings(texts), func.compute_source_embeddings(texts), atol=1e-5
    )
    assert other.fingerprint() == func.fingerprint()


def test_more_texts_than_are_sorted_together(
    func: OnnxEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts of several windows come out in order."""
    texts = [f"number {n}" for n in range(10)]
    expected = func.compute_source_embeddings(texts)
    monkeypatch.setattr("embow_onnx.provider._WINDOW", 3)
    np.testing.assert_allclose(func.compute_source_embeddings(texts), expected, atol=1e-5)


def test_short_texts_are_not_padded_to_a_fixed_length(
    func: OnnxEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 128 tokens of padding in the model's tokenizer.json are not paid for."""
    widths = []
    run = Graph.run

    def watched(self: Graph, ids: list[list[int]], pad_id: int, output: str) -> Any:
        result, mask = run(self, ids, pad_id, output)
        widths.append(mask.shape)
        return result, mask

    monkeypatch.setattr(Graph, "run", watched)
    func.compute_source_embeddings(["two words", "one"])
    assert widths == [(2, 4)]


def test_words_past_the_limit_do_not_count(func: OnnxEmbeddings) -> None:
    """A text is cut at 256 tokens, two of which are the model's own."""
    start = "word " * 254
    vectors = func.compute_source_embeddings([start, start + "and something else entirely"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_a_larger_limit_reads_on(func: OnnxEmbeddings) -> None:
    """``max_seq_length`` changes what is read, and so the identity."""
    longer = OnnxEmbeddings.create(max_seq_length=512)
    text = "word " * 254 + "and something else entirely"
    apart = longer.compute_source_embeddings(text) - func.compute_source_embeddings(text)
    assert np.abs(apart).max() > 1e-3
    assert longer.fingerprint() != func.fingerprint()


def test_the_nearest_text_is_the_one_that_means_it(func: OnnxEmbeddings) -> None:
    """Search finds by meaning, where no word is shared."""
    texts = [
        "Execute a child program and read what it prints.",
        "Parse a date from a string.",
        "Compress bytes with the DEFLATE algorithm.",
        "Return the square root of a number.",
        "Open a web page in the default browser.",
    ]
    queries = ["run a shell command and capture its output", "zip a file", "visit a URL"]
    scores = func.compute_query_embeddings(queries) @ func.compute_source_embeddings(texts).T
    assert scores.argmax(axis=1).tolist() == [0, 2, 4]


def test_a_lone_surrogate_is_named(func: OnnxEmbeddings) -> None:
    """A text that is not Unicode is found among the others."""
    with pytest.raises(BadInputError, match=r"a lone surrogate at character 2") as caught:
        func.compute_source_embeddings(["fine", "ab\ud800", "fine"])
    failure = func.classify(caught.value)
    assert (failure.kind, failure.index) == (FailureKind.BAD_INPUT, 1)


def test_tokens_read_are_reported(func: OnnxEmbeddings) -> None:
    """A call reports the tokens that went through the model, after the cut."""
    record = CallRecord()
    set_current_call(record)
    try:
        func.compute_source_embeddings(["two words", "word " * 1000])
    finally:
        set_current_call(None)
    assert record.tokens == 4 + 256


def test_threads_share_one_model(
    docstrings: list[str], func: OnnxEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight threads that start at once load one session and get right vectors."""
    expected = func.compute_source_embeddings(docstrings[:8])
    loads = []
    session = onnxruntime.InferenceSession

    def counted(*args: Any, **kwargs: Any) -> Any:
        loads.append(args)
        return session(*args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", counted)
    unload()
    results: dict[int, Any] = {}
    start = threading.Barrier(8)

    def work(n: int) -> None:
        start.wait()
        results[n] = OnnxEmbeddings.create().compute_source_embeddings([docstrings[n]])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    np.testing.assert_allclose(np.concatenate([results[n] for n in range(8)]), expected, atol=1e-5)


FORKED = """
import os, signal, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads
from embow_onnx import OnnxEmbeddings
func = OnnxEmbeddings.create(threads=2)
text = "word " * 200
here, model = func.compute_source_embeddings(text), func._graph()
child = os.fork()
if child == 0:
    signal.alarm(60)  # a call that waits for threads would never return
    there = func.compute_source_embeddings(text)
    same = abs(here - there).max() < 1e-5
    os._exit(0 if same and func._graph() is not model else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_embeds() -> None:
    """A process forked after the model was used has not its threads, and loads its own."""
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=120)
