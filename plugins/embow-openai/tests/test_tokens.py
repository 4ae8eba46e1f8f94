"""How tokens are counted, estimated and cut."""

import pytest

from embow_openai import OpenAIEmbeddings, tokens


def test_estimates_follow_the_bytes_and_are_never_zero():
    """A token is four bytes of ASCII, and three of anything else."""
    assert tokens.count(["", "a", "x" * 40, "x" * 41], None) == [1, 1, 10, 11]
    assert tokens.count(["向量数据库" * 10], None) == [50]


def test_what_is_not_text_counts_as_one_token():
    """Values that will be refused later do not break packing."""
    assert tokens.count([None, 3], None) == [1, 1]


@pytest.mark.parametrize("folder", ["", "missing"])
def test_no_vocabulary_no_download(monkeypatch, tmp_path, folder):
    """Where the vocabulary is not on this machine, nothing is fetched."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", folder and str(tmp_path / folder))
    assert tokens.encoding() is None
    assert OpenAIEmbeddings.create().count_tokens(["abcdef"]) == [2]


def test_models_of_others_are_not_counted_with_openais_vocabulary():
    """A vocabulary says nothing about a model it was not made for."""
    assert OpenAIEmbeddings.create(name="bge-m3")._vocabulary() is None


def test_truncation_without_a_vocabulary_shortens_by_the_estimate():
    """The cut text is estimated within the limit."""
    function = OpenAIEmbeddings.create(name="bge-m3")
    cut = function.truncate("x" * 1000, 100)
    assert 0 < function.count_tokens([cut])[0] <= 100


@pytest.fixture
def vocabulary():
    """A real tiktoken encoding over single bytes."""
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {bytes([value]): value for value in range(256)}
    return tiktoken.Encoding("bytes", pat_str=r"[\s\S]", mergeable_ranks=ranks, special_tokens={})


def test_counting_with_a_vocabulary(vocabulary):
    """With a vocabulary the count is exact."""
    assert tokens.count(["abc", "", "é", None], vocabulary) == [3, 0, 2, 1]


def test_cutting_with_a_vocabulary_leaves_whole_characters(vocabulary):
    """A cut inside a character drops it."""
    assert tokens.cut("abcdef", 3, vocabulary) == "abc"
    assert tokens.cut("aéé", 2, vocabulary) == "a"
    assert tokens.cut("ab", 3, vocabulary) == "ab"
