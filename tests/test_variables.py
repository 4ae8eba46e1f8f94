"""``$var:`` references: parsed, looked up, replaced wherever they stand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embow import variables
from embow.errors import ConfigurationError, VariableNotFoundError
from embow.variables import Reference, Variables, parse_reference, resolve

NAMES = st.text(st.characters(exclude_characters=":"), min_size=1)


@pytest.fixture(autouse=True)
def own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test variables of its own."""
    monkeypatch.setattr(variables, "SHARED", Variables())


@given(NAMES, st.none() | st.text())
def test_reference_is_read_as_written(name: str, default: str | None) -> None:
    """Any name without colons and any default, colons included, come back as written."""
    text = f"$var:{name}" + ("" if default is None else f":{default}")
    assert parse_reference(text) == Reference(name, default)


@pytest.mark.parametrize("value", ["", "var:X", "$VAR:X", " $var:X", None, 3, b"$var:X"])
def test_other_values_are_no_references(value: object) -> None:
    """Only a string that begins with ``$var:`` is a reference."""
    assert parse_reference(value) is None


@pytest.mark.parametrize("text", ["$var:", "$var::default"])
def test_reference_without_a_name_is_refused(text: str) -> None:
    """A reference must name something."""
    with pytest.raises(ConfigurationError, match=r"\$var:NAME"):
        parse_reference(text)


def test_value_set_in_the_process_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is: set here, then the environment, then the default."""
    monkeypatch.setenv("PLACE", "environment")
    assert resolve("$var:PLACE:default") == "environment"
    variables.SHARED.set("PLACE", "process")
    assert resolve("$var:PLACE:default") == "process"


@pytest.mark.parametrize(("text", "value"), [("$var:NOPE:a:b", "a:b"), ("$var:NOPE:", "")])
def test_default_stands_in(text: str, value: str) -> None:
    """A default may hold colons and may be empty."""
    assert resolve(text) == value


def test_variable_without_value_names_every_way_to_give_one() -> None:
    """The error names the call, the environment variable and the default."""
    with pytest.raises(VariableNotFoundError, match="'NOPE' has no value") as caught:
        resolve("$var:NOPE")
    for way in ("set_var('NOPE', ...)", "environment variable NOPE", '"$var:NOPE:default"'):
        assert way in str(caught.value)


def test_missing_variable_is_a_value_error() -> None:
    """Code written for LanceDB that catches ``ValueError`` still does."""
    with pytest.raises(ValueError, match="NOPE"):
        resolve("$var:NOPE")


@pytest.mark.parametrize("name", ["", "a:b"])
def test_variable_name_must_be_plain(name: str) -> None:
    """A name that could not be referred to is refused."""
    with pytest.raises(ConfigurationError, match="must not be empty or contain colons"):
        Variables().set(name, "x")


def test_variable_value_must_be_text() -> None:
    """A value of another type is refused, without being shown."""
    with pytest.raises(ConfigurationError, match="must be a string, not int"):
        Variables().set("X", 31415)  # type: ignore[arg-type]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text().filter(lambda t: t[:5] != "$var:"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(PLAIN)
def test_values_without_references_stay(value: Any) -> None:
    """What holds no reference is left as it is, the very object."""
    assert resolve(value) is value


def test_references_are_found_at_any_depth() -> None:
    """Dicts, lists and tuples inside one another are searched; keys are not."""
    variables.SHARED.set("A", "1")
    given_value = {"$var:A": ["$var:A", {"x": ("$var:B:2", 3)}]}
    assert resolve(given_value) == {"$var:A": ["1", {"x": ("2", 3)}]}
