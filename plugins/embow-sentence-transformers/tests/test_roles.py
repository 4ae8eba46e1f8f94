"""Queries and documents get the prompt of their role."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embow.errors import ConfigurationError
from embow_sentence_transformers import SentenceTransformerEmbeddings as Provider

TEXT = ["birds sang about rain"]


@pytest.fixture(scope="module")
def with_prompts(make_model: Any) -> str:
    """Return a model that brings prompts, one of them under a name of its own."""
    return make_model(
        prompts={"query": "query ", "document": "passage ", "market": "stock market "}
    )


@pytest.fixture(scope="module")
def plain(with_prompts: str) -> Any:
    """Return the same model with both prompts switched off."""
    return Provider(name=with_prompts, prompts={"query": "", "document": ""})


def test_the_models_own_prompts_follow_the_role(with_prompts: str, plain: Any) -> None:
    """A query is embedded as "query ..." and a document as "passage ..."."""
    provider = Provider(name=with_prompts)
    np.testing.assert_array_equal(
        provider.compute_query_embeddings(TEXT),
        plain.compute_query_embeddings([f"query {TEXT[0]}"]),
    )
    np.testing.assert_array_equal(
        provider.compute_source_embeddings(TEXT),
        plain.compute_source_embeddings(["passage " + TEXT[0]]),
    )


def test_prompts_given_replace_the_models_own(with_prompts: str, plain: Any) -> None:
    """Text given for a role wins, and the other role keeps the model's prompt."""
    provider = Provider(name=with_prompts, prompts={"query": "river "})
    np.testing.assert_array_equal(
        provider.compute_query_embeddings(TEXT),
        plain.compute_query_embeddings([f"river {TEXT[0]}"]),
    )
    np.testing.assert_array_equal(
        provider.compute_source_embeddings(TEXT),
        Provider(name=with_prompts).compute_source_embeddings(TEXT),
    )


def test_a_prompt_name_picks_one_of_the_models_own(with_prompts: str, plain: Any) -> None:
    """``query_prompt_name`` picks a prompt the model stores under another name."""
    provider = Provider(name=with_prompts, query_prompt_name="market")
    np.testing.assert_array_equal(
        provider.compute_query_embeddings(TEXT),
        plain.compute_query_embeddings(["stock market " + TEXT[0]]),
    )


def test_a_prompt_name_may_name_a_prompt_given(with_prompts: str, plain: Any) -> None:
    """Name and text may both be the user's own."""
    provider = Provider(
        name=with_prompts, prompts={"passage": "bank "}, document_prompt_name="passage"
    )
    np.testing.assert_array_equal(
        provider.compute_source_embeddings(TEXT),
        plain.compute_source_embeddings(["bank " + TEXT[0]]),
    )


def test_generate_embeddings_embeds_documents(with_prompts: str) -> None:
    """The method users call by hand treats its texts as documents."""
    provider = Provider(name=with_prompts)
    np.testing.assert_array_equal(
        provider.generate_embeddings(TEXT), provider.compute_source_embeddings(TEXT)
    )


def test_a_prompt_that_no_role_uses_is_refused() -> None:
    """A misspelt role is an error and not a prompt that is never used."""
    with pytest.raises(ConfigurationError, match="'passage', which no role uses"):
        Provider.create(prompts={"passage": "passage: "})


def test_an_unknown_prompt_name_is_an_error(with_prompts: str) -> None:
    """The library's own message names the prompts the model has."""
    with pytest.raises(ValueError, match="'nothing' not found"):
        Provider(name=with_prompts, query_prompt_name="nothing").compute_query_embeddings(TEXT)


def test_prompts_are_part_of_the_identity(minilm: str) -> None:
    """Vectors made with another prompt are other vectors."""
    one = Provider(name=minilm)
    other = Provider(name=minilm, prompts={"document": "passage: "})
    assert one.fingerprint() != other.fingerprint()
