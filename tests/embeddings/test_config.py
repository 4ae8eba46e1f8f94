"""Settings: how they come in, what is kept, what makes the identity."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from embow.embeddings import (
    TextEmbeddingFunction,
    full_value,
    get_registry,
    operational,
    read_bindings,
    register,
    scrub,
    secrets_of,
)
from embow.errors import ConfigurationError, VariableNotFoundError


class Login(BaseModel):
    """A nested model that holds a secret."""

    user: str
    password: SecretStr


class Sample(TextEmbeddingFunction):
    """A provider with settings of every kind."""

    provider_id: ClassVar[str | None] = "sample"

    name: str = "small"
    dim: int = Field(default=4, ge=1)
    task: Literal["a", "b"] = "a"
    url: Annotated[str | None, operational] = None
    endpoint: str | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    folder: Path | None = None
    api_key: SecretStr | None = None
    headers: dict[str, SecretStr] | None = None
    login: Login | None = None
    device: Annotated[str, operational] = "cpu"
    client: object | None = Field(default=None, exclude=True)

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value().startswith("bad"):
            raise ValueError(f"bad key {value.get_secret_value()}")
        return value

    @model_validator(mode="after")
    def _check_all(self) -> Sample:
        if self.name == "unsuitable" and self.api_key is not None:
            raise ValueError(f"unsuitable with {self.api_key.get_secret_value()}")
        return self

    def ndims(self) -> int:
        """Return the length of the vectors."""
        return self.dim

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return ones."""
        return np.ones((len(texts), self.dim), dtype=np.float32)


@pytest.fixture(autouse=True)
def variables() -> None:
    """Set the variables the tests refer to."""
    get_registry().set_var("MODEL", "large")
    get_registry().set_var("SIZE", "7")


# -- arguments ----------------------------------------------------------------------------


def test_reference_is_replaced_and_converted() -> None:
    """A referenced value is converted to the type of its field."""
    made = Sample.create(name="$var:MODEL", dim="$var:SIZE", extra={"k": ["$var:MODEL"]})
    assert (made.name, made.dim, made.extra) == ("large", 7, {"k": ["large"]})


def test_missing_variable_fails_at_once() -> None:
    """A setting that cannot be resolved is an error when the function is made."""
    with pytest.raises(VariableNotFoundError, match="NOT_SET"):
        Sample.create(name="$var:NOT_SET")


def test_missing_variable_of_a_secret_waits() -> None:
    """A key is only looked up when it is needed."""
    made = Sample.create(api_key="$var:NOT_SET", headers={"X": "$var:NOT_SET"})
    assert made.ndims() == 4


def test_unknown_argument_gets_a_guess_and_the_list() -> None:
    """A misspelt argument is answered with the right one and all that exist."""
    with pytest.raises(ConfigurationError) as caught:
        Sample.create(dimm="31415")
    message = str(caught.value)
    assert "Provider 'sample' has no argument 'dimm'. Did you mean 'dim'?" in message
    assert "api_key, client, device, dim, endpoint" in message
    assert "31415" not in message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dim": "31415x"}, "argument 'dim'"),
        ({"dim": 0}, "greater than or equal to 1"),
        ({"task": "31415"}, "'a' or 'b'"),
        ({"api_key": 31415}, "argument 'api_key': the value does not fit"),
        ({"api_key": "bad31415"}, "argument 'api_key': the value does not fit"),
        ({"headers": {"X": 31415}}, "argument 'headers.X'"),
        ({"login": {"user": "u", "password": 31415}}, "argument 'login.password'"),
        ({"name": "unsuitable", "api_key": "k31415"}, "unsuitable with ***"),
    ],
)
def test_wrong_value_is_explained_without_showing_it(settings: Any, words: str) -> None:
    """An error names the argument and what it takes, never what was given."""
    with pytest.raises(ConfigurationError) as caught:
        Sample.create(**settings)
    assert words in str(caught.value)
    assert "31415" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_several_wrong_values_are_all_named() -> None:
    """One error names every argument that does not fit."""
    with pytest.raises(ConfigurationError, match=r"(?s)argument 'dim'.*argument 'task'"):
        Sample.create(dim="x", task="y")


# -- what is kept -------------------------------------------------------------------------


def test_defaults_are_written_out() -> None:
    """A changed default in a later release must not change a table written before."""
    kept = Sample.create().safe_model_dump()
    assert kept["name"] == "small"
    assert kept["max_retries"] == 7


def test_references_are_kept_as_given() -> None:
    """What is stored is the reference, so that each process uses its own value."""
    settings = {"name": "$var:MODEL", "extra": {"k": ["$var:MODEL"]}, "api_key": "$var:KEY"}
    settings |= {"headers": {"A": "$var:KEY:x"}}
    kept = Sample.create(**settings).safe_model_dump()
    assert {name: kept[name] for name in settings} == settings


def test_plain_secrets_are_left_out() -> None:
    """Keys, secret headers and nested passwords are in no dump, beside references that are."""
    made = Sample.create(
        api_key="k31415",
        headers={"A": "h31415", "B": "$var:KEY"},
        login={"user": "u", "password": "p31415"},
    )
    kept = made.safe_model_dump()
    assert "31415" not in json.dumps(kept)
    assert kept["headers"] == {"B": "$var:KEY"}
    assert not {"api_key", "login"} & kept.keys()


def test_excluded_field_is_neither_kept_nor_identity() -> None:
    """A field that holds an object of this process only is left out of both."""
    made = Sample.create(client=object())
    assert "client" not in made.safe_model_dump() | made.identity()


def test_setting_that_json_cannot_hold_is_refused() -> None:
    """A value that could not be stored is named when it is to be stored."""
    made = Sample.create(extra={"x": object()})
    with pytest.raises(ConfigurationError, match="settings of provider 'sample' cannot be stored"):
        made.safe_model_dump()


@pytest.mark.parametrize("field", ["url", "endpoint"])
@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://me:p31415@host:8/x?q=a@b", "https://host:8/x?q=a@b"),
        ("https://host/v1?token=31415", "https://host/v1"),
        ("https://host/v1?a=1&api_key=31415&b=2#c", "https://host/v1?a=1&b=2#c"),
        ("https://host/v1?X-Amz-Signature=31415&key=31415&v=2", "https://host/v1?v=2"),
    ],
)
def test_what_is_secret_in_a_url_is_cut_out(field: str, given: str, shown: str) -> None:
    """User, password and keys of a URL are in nothing that shows the function's settings."""
    made = Sample.create(**{field: given})
    stored = made.to_binding("a", "b")
    dumps = (made.model_dump(), made.model_dump_json(), vars(made), dict(made), made.identity())
    assert "31415" not in f"{made!r}{made}{stored}{made.model_copy()!r}{dumps}"
    assert made.safe_model_dump()[field] == shown
    assert full_value(made, field) == full_value(pickle.loads(pickle.dumps(made)), field) == given
    assert "31415" not in scrub(f"cannot reach {given}", secrets_of(made))
    assert made != Sample.create(**{field: shown})


def test_what_is_secret_in_a_nested_url_is_cut_out() -> None:
    """Proxies come in a mapping; the rest of a URL, and text that is none, stays as it is."""
    given = {"https": "http://u:p31415@proxy:1", "note": "is it 31416? http://x/y?"}
    made = Sample.create(extra=given)
    assert "31415" not in f"{made!r}{made.model_dump()}{vars(made)}"
    assert made.extra == {"https": "http://proxy:1", "note": given["note"]}
    assert full_value(made, "extra") == given


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"api_key": "k1"}, {"api_key": "k2"}),
        ({"headers": {"A": "k1"}}, {"headers": {"A": "k2"}}),
        ({"login": {"user": "u", "password": "p1"}}, {"login": {"user": "u", "password": "p2"}}),
        ({"url": "http://u:p1@h"}, {"url": "http://u:p2@h"}),
        ({"url": "http://h/?token=t1"}, {"url": "http://h/?token=t2"}),
        ({"extra": {"proxy": "http://u:p1@h"}}, {"extra": {"proxy": "http://u:p2@h"}}),
        ({"client": object()}, {"client": object()}),
    ],
)
def test_functions_that_differ_in_what_is_not_kept_are_not_confused(one: Any, other: Any) -> None:
    """A table is never answered by another account, nor through another client, of this process."""
    register("sample")(Sample)
    records = [Sample.create(name=str(one), **given).to_binding("a", "b") for given in (one, other)]
    assert records[0] == records[1]
    metadata = {b"embedding_functions": json.dumps(records[:1]).encode()}
    with pytest.raises(ConfigurationError, match="what no table keeps"):
        read_bindings(metadata)["b"].function()


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text().filter(lambda text: not text.startswith("$var:") and "://" not in text),
        "dim": st.integers(1, 10_000),
        "task": st.sampled_from(["a", "b"]),
        "extra": st.dictionaries(st.text(), st.integers() | st.booleans() | st.none()),
        "folder": st.sampled_from(["/a/b", "c"]),
        "device": st.sampled_from(["cpu", "cuda"]),
    },
)


@given(SETTINGS)
def test_round_trip_gives_an_equal_function(settings: dict[str, Any]) -> None:
    """Settings through JSON make an equal function with the same fingerprint."""
    made = Sample.create(**settings)
    again = Sample.create(**json.loads(json.dumps(made.safe_model_dump())))
    assert again == made
    assert again.fingerprint() == made.fingerprint()


# -- identity -----------------------------------------------------------------------------


@given(SETTINGS, SETTINGS)
def test_fingerprints_are_equal_where_identities_are(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Two functions have one fingerprint exactly where they make the same vectors."""
    one, two = Sample.create(**a), Sample.create(**b)
    assert (one.fingerprint() == two.fingerprint()) is (one.identity() == two.identity())


@pytest.mark.parametrize("change", [{"name": "x"}, {"dim": 5}, {"task": "b"}, {"extra": {"a": 1}}])
def test_settings_that_change_vectors_change_the_fingerprint(change: dict[str, Any]) -> None:
    """Every field that is not operational or secret counts."""
    assert Sample.create(**change).fingerprint() != Sample.create().fingerprint()


@pytest.mark.parametrize(
    "change",
    [{"device": "cuda"}, {"url": "http://x"}, {"max_retries": 1}, {"api_key": "k"}],
)
def test_other_settings_do_not(change: dict[str, Any]) -> None:
    """Operational and secret fields say nothing of the vectors."""
    assert Sample.create(**change).fingerprint() == Sample.create().fingerprint()


def test_subclass_is_another_provider() -> None:
    """A class that inherits from a provider does not pass as it."""

    class Special(Sample):
        pass

    assert Special.create().name_of_provider() == "Special"
    assert Special.create().fingerprint() != Sample.create().fingerprint()


# -- accounts -----------------------------------------------------------------------------


def test_account_is_one_for_a_key_however_it_is_given() -> None:
    """Limits are counted on the key, not on how it came in, and never show it."""
    get_registry().set_var("KEY_31415", "k31415")
    plain, referenced = Sample.create(api_key="k31415"), Sample.create(api_key="$var:KEY_31415")
    assert plain.account() == referenced.account()
    assert "31415" not in plain.account()


def test_account_differs_by_key_model_and_provider() -> None:
    """Two keys, or two models, have limits of their own."""
    made = [
        Sample.create(),
        Sample.create(api_key="a"),
        Sample.create(api_key="b"),
        Sample.create(api_key="a", name="other"),
    ]
    assert len({function.account() for function in made}) == len(made)
