"""Settings that come with a table: nothing happens that this process did not allow."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embow.embeddings import (
    Binding,
    EmbeddingFunction,
    Trust,
    describe_settings,
    get_registry,
    read_bindings,
    secret_fields,
)
from embow.embeddings._config import accepted_names
from embow.embeddings._trust import credentials_of, requests_of
from embow.errors import ConfigurationError, SchemaError, UntrustedError
from hostile import CLASSES, watching

HOSTILE: dict[str, list[Any]] = {
    "extra_body": [{"document": {"api_base": "http://127.0.0.1:9"}}, {"query": {}}],
    "base_url": ["http://evil.example/v1", "$var:BAIT_SECRET", 1],
    "azure_endpoint": ["https://evil.example"],
    "endpoint_url": ["http://169.254.169.254/", "file:///etc/passwd"],
    "default_headers": [{"Host": "evil.example"}, {"X-Key": "$var:BAIT_SECRET"}],
    "media": [{"allow_private_hosts": True}, {"max_bytes": 10**12}, {"timeout": 1e400}, "x", 1],
    "trust_remote_code": [True, "yes", 1, "1"],
    "cache_folder": ["BAIT", "~/x", "\\\\evil\\share"],
    "cache_dir": ["BAIT"],
    "checkpoint": ["BAIT/weights.pt"],
    "pretrained": ["BAIT/weights.pt", "weights.pt", "https://evil.example/w.pt"],
    "model_kwargs": [{"trust_remote_code": True}, {"attn_implementation": "evil/kernel"}, "x"],
    "file_name": ["BAIT/x.onnx", "../x.onnx", "onnx/../../x.onnx", "C:x.onnx"],
    "project": ["evil-project"],
    "profile_name": ["admin"],
    "assumed_role": ["arn:aws:iam::666:role/evil"],
}
LOCAL = ["BAIT", "BAIT/org/model", "org/model", "./org/model", "~/m", "..", "C:\\m", "file:///m"]
NAMES: dict[str, list[Any]] = {
    "bedrock-text": ["arn:aws:bedrock:us-east-1:666:custom-model/amazon.titan-embed-text-v1", 7],
    "gemini-text": ["projects/evil/locations/us/endpoints/1", ["x"]],
    "onnx": [*LOCAL, "anything-else"],
    "open-clip": [*LOCAL, "local-dir:/m"],
    **dict.fromkeys(("huggingface", "instructor", "sentence-transformers"), LOCAL),
}
TELLING = re.compile(
    r"url|endpoint|headers|prox(y|ies)$|trust_remote|^cache_|checkpoint|profile|role$|project|media"
)


def marked(provider: str) -> list[str]:
    """Return the settings of a provider that are marked as external."""
    return [each.name for each in describe_settings(CLASSES[provider]) if each.external]


def hostile_settings() -> list[tuple[str, str, Any]]:
    """Return provider, setting and a hostile value, for each setting that is marked."""
    return [
        (provider, name, value)
        for provider in CLASSES
        for name in marked(provider)
        for value in (NAMES[provider] if name == "name" else HOSTILE[name])
    ]


def refused(provider: str, asked: dict[str, Any], bait: Path) -> str:
    """Ask for a function as a stranger's table does; return the refusal. Nothing else happens."""
    text = json.dumps(asked).replace("BAIT/", f"{bait}/").replace('"BAIT"', json.dumps(str(bait)))
    record = {"name": provider, "model": json.loads(text), "source_column": "text"}
    record |= {"vector_column": "vector", "target": "bait_module:Evil", "distribution": "bait"}
    with watching(bait) as watch, pytest.raises(UntrustedError) as caught:
        Binding.from_record(record).function()
    assert watch.crimes == []
    assert "s3cr3t" not in str(caught.value)
    return str(caught.value)


# -- every way in --------------------------------------------------------------------------


@pytest.mark.parametrize(("provider", "name", "value"), hostile_settings())
def test_each_marked_setting_is_refused(provider: str, name: str, value: Any, bait: Path) -> None:
    """An address, a folder, a header, an account or code of the table's is not used."""
    message = refused(provider, {name: value}, bait)
    assert f"{name}" in message
    assert repr(provider) in message


@pytest.mark.parametrize("provider", CLASSES)
@pytest.mark.parametrize("reference", ["$var:BAIT_SECRET", "$var:BAIT_SECRET:x", "$var:UNSET:x"])
def test_no_variable_is_read_for_any_setting(provider: str, reference: str, bait: Path) -> None:
    """References are refused in every setting, by any name, nested too, and with defaults."""
    for argument in accepted_names(CLASSES[provider]):
        for value in (reference, [reference], {"k": reference}, {"k": [{"l": reference}]}):
            assert argument in refused(provider, {argument: value}, bait)


@pytest.mark.parametrize("provider", CLASSES)
def test_credentials_go_into_secret_settings_only(provider: str, bait: Path) -> None:
    """A declared key in a name, a user or an address would be sent to where it does not belong."""
    cls = CLASSES[provider]
    for variable in credentials_of(cls):
        reference = f"$var:{variable}"
        for name in cls.model_fields.keys() - secret_fields(cls):
            assert reference in refused(provider, {name: reference}, bait)
        for name in secret_fields(cls) - {"default_headers"}:
            assert requests_of(cls, {name: reference}) == ()
            assert requests_of(cls, {name: f"{reference}:sk-of-a-stranger"})


@pytest.mark.parametrize("provider", CLASSES)
def test_written_out_secrets_are_refused_and_not_shown(provider: str, bait: Path) -> None:
    """No honest table holds a key: with a stranger's, the stranger would see what is embedded."""
    for name in secret_fields(CLASSES[provider]):
        key = {"k": "sk-31415"} if name == "default_headers" else "sk-31415"
        assert "31415" not in refused(provider, {name: key}, bait)


@pytest.mark.parametrize("provider", CLASSES)
def test_settings_with_telling_names_are_marked(provider: str) -> None:
    """A new setting that decides where data go cannot be forgotten, nor a bait for it here."""
    telling = {name for name in CLASSES[provider].model_fields if TELLING.search(name)}
    assert telling <= set(marked(provider))
    assert set(marked(provider)) <= HOSTILE.keys() | {"name"}


@pytest.mark.parametrize("provider", CLASSES)
def test_an_ordinary_table_is_asked_for_nothing(provider: str, bait: Path) -> None:
    """Default settings, written out as tables hold them, need no trust."""
    written = CLASSES[provider].create().safe_model_dump()
    assert requests_of(CLASSES[provider], json.loads(json.dumps(written))) == ()
    with watching(bait) as watch:
        function = Binding(provider, written, "text", "vector").function()
    assert function == CLASSES[provider].create()
    assert watch.crimes == []


# -- odd metadata --------------------------------------------------------------------------

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["$var:", "$var:X", "$var:X:y", "http://e/", "\ud800", "\0", "~", "", "x" * 9999]
    ),
)
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@st.composite
def records(draw: st.DrawFn) -> Any:
    """Return a record as no honest writer makes it, though it names a provider that is here."""
    provider = draw(st.sampled_from(sorted(CLASSES)))
    names = st.sampled_from(sorted(accepted_names(CLASSES[provider]))) | st.text(max_size=8)
    odd = {key: draw(ANYTHING) for key in draw(st.sets(st.sampled_from(["ndims", "identity"])))}
    model = draw(st.dictionaries(names, ANYTHING, max_size=3) | ANYTHING)
    return {
        "name": provider,
        "model": model,
        "source_column": draw(st.just("text") | ANYTHING),
        "vector_column": "v",
        **odd,
    }


@given(record=records())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_fuzzed_records_do_nothing(record: Any, bait: Path) -> None:
    """Whatever a record holds, it is refused as such, or makes a function that asks for nothing."""
    text = json.dumps([record])
    with watching(bait) as watch:
        try:
            (binding,) = read_bindings({"embedding_functions": text}).values()
            function = binding.function()
        except (UntrustedError, ConfigurationError, SchemaError):
            pass
        else:
            assert requests_of(CLASSES[record["name"]], binding.settings) == ()
            assert isinstance(function, EmbeddingFunction)
    assert watch.crimes == []


@given(text=st.text() | ANYTHING.map(json.dumps) | st.binary())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_fuzzed_metadata_are_damaged_or_read(text: Any) -> None:
    """Whatever stands in the place of the records is read, or refused as damaged."""
    with contextlib.suppress(SchemaError):
        assert isinstance(read_bindings({b"embedding_functions": text}), dict)


@pytest.mark.parametrize(
    "model",
    [
        json.loads("[" * 400 + "]" * 400),
        {"name": json.loads('{"a":' * 400 + "1" + "}" * 400)},
        {"cls": 1},
        {"self": 1, "_original_args": {}},
        {"__class__": "x", "model_config": {}},
        [["name", "x"]],
    ],
)
def test_nothing_but_settings_passes_as_settings(model: Any, bait: Path) -> None:
    """Deep nesting, lists of pairs and names of attributes are refused like any misfit."""
    record = {"name": "onnx", "model": model, "source_column": "a", "vector_column": "v"}
    with watching(bait) as watch, pytest.raises((SchemaError, ConfigurationError)):
        Binding.from_record(record).function()
    assert watch.crimes == []


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"name":' * 50_000, "1" * 5000, b"\xff\xfe{"])
def test_metadata_that_break_a_parser_are_damaged(text: Any) -> None:
    """Nesting and numbers without end do not get past the reader."""
    with pytest.raises(SchemaError, match="damaged"):
        read_bindings({"embedding_functions": text})


# -- ways to allow -------------------------------------------------------------------------


def stranger(**model: Any) -> Binding:
    """Return a binding of a table from elsewhere."""
    return Binding("onnx", model, "text", "vector")


def test_refusal_names_all_there_is_to_know(bait: Path) -> None:
    """Column, provider, each setting with its value, three ways on, and what works without."""
    message = refused(
        "openai", {"base_url": "http://u:pw@evil/v1", "user": "$var:BAIT_SECRET"}, bait
    )
    for words in (
        "provider 'openai' for column 'vector'",
        'base_url="http://***@evil/v1"',
        'user="$var:BAIT_SECRET"',
        "'$var:BAIT_SECRET'])",
        "connect(uri, trust=True)",
        "create the same function in this program",
        "Scanning, and searching by vector, work without.",
    ):
        assert words in message
    assert "pw" not in message


def test_refusal_is_one_readable_line(bait: Path) -> None:
    """A value cannot write on the user's terminal, nor fill it."""
    message = refused("openai", {"base_url": "\x1b[2J\n" + "x" * 100_000}, bait)
    assert message.isprintable()
    assert len(message) < 2000


@pytest.mark.parametrize(
    ("entry", "allowed", "not_allowed"),
    [
        ("http://a:8080/v1", ["http://a:8080/v1", "http://a:8080/v1/x"], ["http://a:8080/v10"]),
        ("http://a", ["http://a/v1"], ["http://a@evil/", "http://a.evil/", "http://a:1/"]),
        ("http://a/", ["http://a/v1"], ["http://a/../b/..", "http://b/"]),
        ("/models", ["/models", "/models/m"], ["/models2", "/models/../etc", "/models\\..\\x"]),
        ("$var:A", ["$var:A"], ["$var:AB", "$var:A:http://evil", "$var:A/x"]),
    ],
)
def test_entries_allow_values_and_what_lies_beneath(
    entry: str, allowed: list[str], not_allowed: list[str]
) -> None:
    """An address or folder covers what goes on after a slash, a reference only itself."""
    trust = Trust.of([entry])
    cls = CLASSES["openai"]
    for value in (*allowed, *not_allowed):
        (asked, *_) = requests_of(cls, {"base_url": value})
        assert trust.allows(asked) is (value in allowed), value


def test_what_is_no_text_is_allowed_by_its_setting() -> None:
    """``setting=value`` names a switch, and does not allow another one."""
    (asked,) = requests_of(CLASSES["cohere"], {"media": {"allow_private_hosts": True}})
    assert Trust.of(['media={"allow_private_hosts": true}']).allows(asked)
    assert not Trust.of(["media=true", "true", "media"]).allows(asked)


@pytest.mark.parametrize("given_", ["", [""], [1], 1, None, [" "]])
def test_trust_must_say_something(given_: Any) -> None:
    """An empty text would be the beginning of everything."""
    with pytest.raises(ConfigurationError, match="trust must be"):
        Trust.of(given_)


def test_all_that_is_asked_for_must_be_allowed(bait: Path) -> None:
    """One allowed value does not let another through."""
    binding = Binding("openai", {"base_url": "http://a/v1", "user": "$var:BAIT_SECRET"}, "t", "v")
    with pytest.raises(UntrustedError) as caught:
        binding.function(Trust.of(["http://a"]))
    assert "base_url" not in str(caught.value)
    assert binding.function(Trust.of(["http://a", "$var:BAIT_SECRET"])).user == "s3cr3t-of-the-user"  # type: ignore[attr-defined]
    assert binding.function(Trust.of(True)) is binding.function(
        Trust.of(["http://a", "$var:BAIT_SECRET"])
    )


def test_function_made_here_is_trusted(bait: Path) -> None:
    """A table this process made works in it, whatever it asks for; one that differs does not."""
    own = CLASSES["openai"].create(name="tiny", dim=8, base_url="http://a/v1", api_key="k")
    binding = Binding.from_record(own.to_binding("text", "vector"))
    assert binding.function() is own
    with pytest.raises(UntrustedError):
        Binding("openai", {**binding.settings, "base_url": "http://b/v1"}, "t", "v").function()


def test_function_of_a_table_is_not_made_here(bait: Path) -> None:
    """Writing what one connection was allowed into another table allows it to no other."""
    settings_ = (
        CLASSES["openai"].create(name="tiny", dim=8, base_url="http://a/v1").safe_model_dump()
    )
    binding = Binding("openai", settings_, "text", "vector")
    function = binding.function(Trust.of(True))
    copy = Binding.from_record(function.to_binding("text", "vector"))
    assert not copy.made_here()
    with pytest.raises(UntrustedError):
        copy.function()


def test_parse_functions_follows_the_same_rule(bait: Path) -> None:
    """LanceDB's way to a table's functions asks for trust as well."""
    records_ = [stranger(name=str(bait)).to_record()]
    metadata = {b"embedding_functions": json.dumps(records_).encode()}
    with pytest.raises(UntrustedError):
        get_registry().parse_functions(metadata)
    assert get_registry().parse_functions(metadata, trust=[str(bait)]).keys() == {"vector"}
