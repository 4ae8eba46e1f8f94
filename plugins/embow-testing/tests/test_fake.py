"""The fake provider: deterministic, counted, and failing on command."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embow.embeddings import FailureKind, get_registry
from embow.embeddings.types import CallRecord, set_current_call
from embow.errors import ProviderNotFoundError
from embow_testing.fake import BadAnswer, FakeEmbeddings, FakeProviderError


@given(st.lists(st.text(), unique=True, min_size=1, max_size=5))
def test_vectors_depend_on_the_text_alone(texts: list[str]) -> None:
    """A text has one unit vector, in any batch, and no other text has it."""
    fake = FakeEmbeddings.create(dim=8)
    together = fake.generate_embeddings(texts)
    alone = np.concatenate([fake.generate_embeddings([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert len({row.tobytes() for row in together}) == len(texts)


def test_texts_that_share_words_are_near() -> None:
    """Searching with the fake finds what a reader expects."""
    fake = FakeEmbeddings.create(dim=64)
    apple, pear, moon = fake.generate_embeddings(["a red apple", "a red pear", "the cold moon"])
    assert apple @ pear > apple @ moon


def test_vectors_are_the_same_in_another_process() -> None:
    """Nothing of the process, such as its hash seed, is in a vector."""
    code = (
        "from embow_testing.fake import FakeEmbeddings;"
        "print(FakeEmbeddings.create().generate_embeddings(['a b']).tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = FakeEmbeddings.create().generate_embeddings(["a b"]).tobytes().hex()
    assert done.stdout.strip() == here


def test_another_model_gives_other_vectors() -> None:
    """The name counts, so that tests of a change of model see one."""
    one, two = FakeEmbeddings.create(), FakeEmbeddings.create(name="fake-2")
    assert one.fingerprint() != two.fingerprint()
    assert not np.allclose(one.generate_embeddings(["a"]), two.generate_embeddings(["a"]))


def test_calls_are_counted_by_role() -> None:
    """Every call is kept with its role and texts, failed ones too."""
    fake = FakeEmbeddings.create().then_fail(FailureKind.TRANSIENT)
    with pytest.raises(FakeProviderError):
        fake.compute_source_embeddings(["a", "b"])
    fake.compute_query_embeddings("q")
    assert [(call.role, call.texts) for call in fake.calls] == [
        ("document", ("a", "b")),
        ("query", ("q",)),
    ]
    assert fake.embedded == 3


def test_tokens_are_reported() -> None:
    """The pipeline learns what a call consumed."""
    record = CallRecord()
    set_current_call(record)
    FakeEmbeddings.create().generate_embeddings(["abcd", "abcdefgh"])
    set_current_call(None)
    assert record.tokens == 3


def test_failures_come_in_order_and_end() -> None:
    """Scripted steps are used up one call at a time; then all is well again."""
    fake = FakeEmbeddings.create().then_answer().then_fail(FailureKind.QUOTA)
    fake.then_fail(FailureKind.RATE_LIMITED, retry_after=2.0, index=1)
    fake.generate_embeddings(["a"])
    failures = []
    for _ in range(2):
        with pytest.raises(FakeProviderError) as caught:
            fake.generate_embeddings(["a"])
        failures.append(fake.classify(caught.value))
    assert [failure.kind for failure in failures] == [FailureKind.QUOTA, FailureKind.RATE_LIMITED]
    assert (failures[1].retry_after, failures[1].index) == (2.0, 1)
    assert fake.generate_embeddings(["a"]).shape == (1, 16)


def test_poisoned_text_is_refused_every_time() -> None:
    """A call that holds the text fails, and no other."""
    fake = FakeEmbeddings.create().always_refuse(["poison"])
    for _ in range(2):
        with pytest.raises(FakeProviderError) as caught:
            fake.generate_embeddings(["fine", "poison"])
        assert fake.classify(caught.value).kind is FailureKind.BAD_INPUT
    assert fake.generate_embeddings(["fine"]).shape == (1, 16)


@pytest.mark.parametrize(
    ("answer", "shape", "usable"),
    [
        ("short", (1, 16), True),
        ("long", (3, 16), True),
        ("wrong_ndims", (2, 15), True),
        ("nan", (2, 16), False),
        ("infinite", (2, 16), False),
        ("zero", (2, 16), False),
    ],
)
def test_bad_answers(answer: BadAnswer, shape: tuple[int, int], usable: bool) -> None:
    """Each kind of bad answer is what it says."""
    vectors = FakeEmbeddings.create().then_answer_badly(answer).generate_embeddings(["a", "b"])
    lengths = np.linalg.norm(vectors, axis=1)
    assert vectors.shape == shape
    assert bool((np.isfinite(lengths) & (lengths > 0)).all()) is usable


def test_error_pickles() -> None:
    """A scripted error keeps its failure on its way from another process."""
    fake = FakeEmbeddings.create().then_fail(FailureKind.AUTH)
    with pytest.raises(FakeProviderError) as caught:
        fake.generate_embeddings(["a"])
    assert pickle.loads(pickle.dumps(caught.value)).failure == caught.value.failure


def test_it_is_registered_only_when_asked() -> None:
    """Importing the fake does not make it a provider."""
    with pytest.raises(ProviderNotFoundError):
        get_registry().get("fake")
