"""What is said of providers that are not installed."""

from __future__ import annotations

from typing import Any

import pytest

from embow.embeddings import get_registry
from embow.errors import ProviderNotFoundError
from embow.plugins import State
from embow.plugins import _hints as hints
from embow.plugins._known import ELSEWHERE, KNOWN, Elsewhere, Known, provider_of_class
from embow.plugins._listing import Listed, missing


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.id)
def test_install_hint_works_in_a_clone_and_marks_the_published_form(known: Known) -> None:
    """The hint gives the paths of the clone first and says that the other is for later."""
    hint = hints.install_hint(known)
    assert f"pip install ./core ./plugins/embow-{known.extra}" in hint
    assert f'once embow is published: pip install "embow[{known.extra}]"' in hint


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=lambda elsewhere: elsewhere.id)
def test_providers_only_lancedb_has_get_an_alternative(elsewhere: Elsewhere) -> None:
    """A provider that embow has not is known as such, with what to use instead."""
    with pytest.raises(ProviderNotFoundError, match="LanceDB has a provider") as caught:
        get_registry().get(elsewhere.id)
    assert elsewhere.instead in str(caught.value)


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("opnai", "openai"),
        ("OpenAI", "openai"),
        ("sentence_transformers", "sentence-transformers"),
        ("gemini", "gemini-text"),
        ("bedrock", "bedrock-text"),
        ("jinna", "jina"),
    ],
)
def test_misspelt_name_gets_a_guess(name: str, guess: str) -> None:
    """A name that is nearly right is answered with the right one."""
    with pytest.raises(ProviderNotFoundError, match=f"Did you mean '{guess}'"):
        get_registry().get(name)


def test_strange_name_gets_no_guess() -> None:
    """A name like no other is answered with the list alone."""
    with pytest.raises(ProviderNotFoundError) as caught:
        get_registry().get("xyzzy-plugh")
    assert "Did you mean" not in str(caught.value)
    assert "Installed: " in str(caught.value)


def test_unknown_provider_is_a_key_error() -> None:
    """Code written for LanceDB that catches ``KeyError`` still does."""
    with pytest.raises(KeyError):
        get_registry().get("xyzzy-plugh")


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("OpenAIEmbeddings", "openai"),
        ("InstuctorEmbeddingFunction", "instructor"),
        ("GteEmbeddings", "gte-text"),
        ("NoSuchEmbeddings", None),
    ],
)
def test_class_names_lead_to_providers(name: str, provider: str | None) -> None:
    """Class names that LanceDB users import are known, the misspelt one of its documents too."""
    assert provider_of_class(name) == provider


def test_nothing_is_known_twice() -> None:
    """No id and no class name stands for two providers."""
    ids = [entry.id for entry in (*KNOWN, *ELSEWHERE)]
    classes = [name for entry in (*KNOWN, *ELSEWHERE) for name in entry.classes]
    assert len(ids) == len(set(ids))
    assert len(classes) == len(set(classes))


def test_a_known_provider_whose_plugin_failed_is_listed_by_its_own_name() -> None:
    """Asking for it says what is wrong, also where its entry point is called otherwise."""
    failed = Listed("bedrock", State.BROKEN, "", "embow-bedrock", "0.1", reason="It fails.")
    listed: dict[str, Listed[Any]] = {item.id: item for item in missing(KNOWN, [], [failed])}
    assert (listed["bedrock-text"].state, listed["bedrock-text"].reason) == (
        State.BROKEN,
        "It fails.",
    )
    assert listed["cohere"].state is State.NOT_INSTALLED
