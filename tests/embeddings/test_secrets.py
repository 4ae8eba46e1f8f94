"""Keys are found at the moment of use, and are in no text."""

from __future__ import annotations

import json
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr, create_model

from embow.embeddings import (
    TextEmbeddingFunction,
    get_registry,
    plain_secrets,
    scrub,
    secret_mapping,
    secret_value,
    secrets_of,
)
from embow.errors import MissingCredentialError


class Remote(TextEmbeddingFunction):
    """A provider that needs a key."""

    provider_id: ClassVar[str | None] = "remote-sample"

    api_key: SecretStr | None = None
    headers: dict[str, SecretStr] | None = None
    base_url: str | None = None

    def ndims(self) -> int:
        """Return the length of the vectors."""
        return 1

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return ones."""
        return np.ones((len(texts), 1), dtype=np.float32)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test an environment without keys but one."""
    for name in ("VENDOR_API_KEY", "OTHER_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SECOND_API_KEY", "from-environment")
    get_registry().set_var("SET_KEY", "from-variable")


ENV = ("VENDOR_API_KEY", "SECOND_API_KEY")


@pytest.mark.parametrize(
    ("given_key", "found"),
    [
        ("from-argument", "from-argument"),
        ("$var:SET_KEY", "from-variable"),
        ("$var:SECOND_API_KEY", "from-environment"),
        ("$var:OTHER_KEY:from-default", "from-default"),
        (None, "from-environment"),
        ("", "from-environment"),
    ],
)
def test_key_is_found(given_key: str | None, found: str) -> None:
    """The argument comes first, then the variable it names, then the environment."""
    assert secret_value(Remote.create(api_key=given_key), "api_key", ENV) == found


def test_key_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is rotated in the environment is used from the next call on."""
    function = Remote.create()
    monkeypatch.setenv("VENDOR_API_KEY", "first")
    assert secret_value(function, "api_key", ENV) == "first"
    monkeypatch.setenv("VENDOR_API_KEY", "second")
    assert secret_value(function, "api_key", ENV) == "second"


def test_missing_key_names_all_three_ways() -> None:
    """The error gives the argument, the variable and the environment variable."""
    with pytest.raises(MissingCredentialError) as caught:
        secret_value(Remote.create(), "api_key", ("VENDOR_API_KEY",))
    assert str(caught.value) == (
        "Provider 'remote-sample' needs api_key: pass api_key=... to create(), "
        'pass api_key="$var:VENDOR_API_KEY" and call '
        'get_registry().set_var("VENDOR_API_KEY", ...), '
        "or set the environment variable VENDOR_API_KEY."
    )


def test_named_variable_without_value_does_not_fall_back() -> None:
    """A key that was named must not be replaced by another account's key."""
    function = Remote.create(api_key="$var:OTHER_KEY")
    with pytest.raises(MissingCredentialError, match="variable 'OTHER_KEY' has no value"):
        secret_value(function, "api_key", ENV)


def test_key_that_is_not_required_may_be_missing() -> None:
    """Where the vendor has other ways to log in, no key is no error."""
    assert secret_value(Remote.create(), "api_key", (), required=False) is None


def test_secret_headers_are_resolved() -> None:
    """Each entry of a secret mapping is a text or a reference of its own."""
    function = Remote.create(headers={"A": "plain", "B": "$var:SET_KEY"})
    assert secret_mapping(function, "headers") == {"A": "plain", "B": "from-variable"}
    assert secret_mapping(Remote.create(), "headers") == {}


def test_missing_secret_header_is_named() -> None:
    """The error names the entry of the mapping."""
    function = Remote.create(headers={"B": "$var:OTHER_KEY"})
    with pytest.raises(MissingCredentialError, match=r"needs headers\['B'\]"):
        secret_mapping(function, "headers")


def test_all_secrets_of_a_function_are_known() -> None:
    """Arguments, variables, headers, URL passwords and the vendor's variables are collected."""
    function = Remote.create(
        api_key="$var:SET_KEY", headers={"A": "plain"}, base_url="http://u:pass@host"
    )
    found = secrets_of(function, ENV)
    assert set(found) == {"from-variable", "plain", "pass", "from-environment"}


# Without "*", so that a mask beside other text cannot look like the secret.
SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4)


@given(st.text(), SECRETS, st.text())
@example("", "0000", "000")
def test_scrubbed_text_holds_no_secret(before: str, secret: str, after: str) -> None:
    """A secret is masked wherever it stands, also as part of a URL or a JSON string."""
    text = f"{before}{secret}{after} {quote(secret, safe='')} {json.dumps(secret)}"
    clean = scrub(text, [secret])
    for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert form not in clean


def test_secret_that_is_no_utf8_is_masked() -> None:
    """The environment may hold bytes that are no text; they are masked like others."""
    assert scrub("key \udcff\udcfe\udcfd!!", ["\udcff\udcfe\udcfd!!"]) == "key ***"


def test_longer_secret_is_masked_first() -> None:
    """A secret that contains another one leaves no rest."""
    assert scrub("key abcdefgh", ["abcd", "abcdefgh"]) == "key ***"


def test_short_secret_is_masked_only_where_it_stands_alone() -> None:
    """A secret of two letters must not make a text unreadable."""
    assert scrub("the id is id: side", ["id"]) == "the *** is ***: side"


def test_userinfo_is_masked_in_any_url() -> None:
    """A password in a URL is masked even where nobody named it."""
    text = "cannot reach https://me:p@ss@host/a, mail me@host"
    assert scrub(text, []) == "cannot reach https://***@host/a, mail me@host"


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("api_key", str, True),
        ("secretKey", str | None, True),
        ("API_KEY", str, True),
        ("api_keys", list[str], True),
        ("private_key", bytes, True),
        ("bearer", str, True),
        ("credentials", dict[str, str], True),
        ("api_key", SecretStr, False),
        ("special_tokens", list[str], False),
        ("max_token", int, False),
        ("tokenizer", str, False),
        ("author", str, False),
    ],
)
def test_plain_text_named_like_a_key_is_told(name: str, kind: Any, told: bool) -> None:
    """However the name is written, and whatever the text is kept in."""
    assert (plain_secrets(create_model("Settings", **{name: (kind, ...)})) == (name,)) == told
