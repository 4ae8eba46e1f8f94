"""Providers by name: registered in this process, found again from a table's metadata."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import SecretStr

import embow.embeddings
from embow.embeddings import (
    EmbeddingFunction,
    EmbeddingFunctionConfig,
    EmbeddingFunctionRegistry,
    Limits,
    TextEmbeddingFunction,
    get_registry,
    read_bindings,
    register,
    secret_value,
)
from embow.embeddings._bindings import Binding, bindings_metadata
from embow.embeddings._lookup import SHARED
from embow.errors import (
    ConfigurationError,
    EmbowError,
    ProviderConflictError,
    ProviderNotFoundError,
    ProviderNotInstalledError,
    SchemaError,
)
from embow.plugins import _discovery as discovery
from embow.plugins import _loader as loader
from embow.schema._protocol import METADATA_KEY


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Forget what a test registers."""
    yield
    get_registry().reset()
    discovery.refresh()


def make_class(qualname: str = "Made") -> type[TextEmbeddingFunction]:
    """Return a new provider class, as running a notebook cell would."""

    class Made(TextEmbeddingFunction):
        """A provider made by a test."""

        name: str = "m"
        api_key: SecretStr | None = None

        def ndims(self) -> int:
            return self.known_ndims() or 3

        def generate_embeddings(self, texts: list[str]) -> Any:
            return np.ones((len(texts), 3), dtype=np.float32)

    Made.__qualname__ = qualname
    return Made


# -- registering --------------------------------------------------------------------------


def test_registered_class_is_found() -> None:
    """The class comes back under its name, and knows it."""
    cls = register("mine")(make_class())
    assert get_registry().get("mine") is cls
    assert cls.create().name_of_provider() == "mine"


def test_registry_of_the_process_is_one() -> None:
    """Both ways LanceDB users know lead to one object."""
    assert EmbeddingFunctionRegistry.get_instance() is get_registry()


def test_class_name_stands_in_for_an_alias() -> None:
    """Without an alias the class's own name is used, and is stored in tables."""
    cls = get_registry().register()(make_class())
    assert get_registry().get("Made") is cls
    assert cls.create().to_binding("a", "b")["name"] == "Made"


def test_decorator_without_parentheses_is_a_type_error() -> None:
    """``@register`` on a class would lose the class: it says how to write it."""
    with pytest.raises(TypeError, match=r'write @register\("a-name"\)'):
        register(make_class())  # type: ignore[arg-type]


def test_method_without_parentheses_is_a_type_error() -> None:
    """``@registry.register`` on a class would lose the class too."""
    with pytest.raises(TypeError, match="Write the parentheses"):
        get_registry().register(make_class())  # type: ignore[arg-type]


@pytest.mark.parametrize("other", [int, "text", object()])
def test_only_embedding_functions_can_be_registered(other: Any) -> None:
    """Anything else is refused at the decorator."""
    with pytest.raises(TypeError, match="must be a subclass of EmbeddingFunction"):
        register("mine")(other)


def test_name_taken_by_another_class_names_both() -> None:
    """A second class does not replace the first in silence."""
    register("mine")(make_class("First"))
    with pytest.raises(ProviderConflictError, match=r"test_registry\.Second.*test_registry\.First"):
        register("mine")(make_class("Second"))


def test_same_class_again_replaces_the_first() -> None:
    """A notebook cell run twice, or a module reloaded, registers the new class."""
    register("mine")(make_class())
    again = register("mine")(make_class())
    assert get_registry().get("mine") is again


def test_registries_are_independent() -> None:
    """A registry of one's own shares no classes with that of the process."""
    own = EmbeddingFunctionRegistry()
    own.register("mine")(make_class())
    with pytest.raises(ProviderNotFoundError):
        get_registry().get("mine")


def test_reset_forgets_classes_and_keeps_variables() -> None:
    """As in LanceDB, variables outlive a reset."""
    register("mine")(make_class())
    get_registry().set_var("KEPT", "x")
    get_registry().reset()
    assert get_registry().get_var("KEPT") == "x"
    with pytest.raises(ProviderNotFoundError):
        get_registry().get("mine")


def test_registered_class_is_listed() -> None:
    """Classes of this process stand in the list beside plugins."""
    register("mine")(make_class())
    (mine,) = [item for item in get_registry().providers() if item.id == "mine"]
    assert (mine.state, mine.summary) == ("ready", "A provider made by a test.")


# -- metadata -----------------------------------------------------------------------------


def metadata_of(function: EmbeddingFunction, vector: str = "vector") -> dict[str, bytes]:
    """Return schema metadata with one binding."""
    conf = EmbeddingFunctionConfig(vector, "text", function)
    metadata = get_registry().get_table_metadata([conf])
    assert metadata is not None
    return metadata


def test_metadata_round_trip_through_an_arrow_schema() -> None:
    """A schema gives back the columns and an equal function."""
    function = register("mine")(make_class()).create(name="x")
    schema = pa.schema([pa.field("text", pa.string())], metadata_of(function))
    found = get_registry().parse_functions(schema.metadata)
    assert found == {"vector": EmbeddingFunctionConfig("vector", "text", function)}
    assert read_bindings(schema)["vector"].source_column == "text"


def test_no_functions_make_no_metadata() -> None:
    """An empty list gives ``None``, and ``None`` gives no functions."""
    assert get_registry().get_table_metadata([]) is None
    assert get_registry().parse_functions(None) == {}


def test_record_says_all_there_is_to_say() -> None:
    """A record names provider, settings, columns, length, identity and where the class is from."""
    function = register("mine")(make_class("Made")).create()
    record = function.to_binding("text", "vector")
    assert record == {
        "name": "mine",
        "model": {"max_retries": 7, "name": "m"},
        "source_column": "text",
        "vector_column": "vector",
        "ndims": 3,
        "identity": {"provider": "mine", "name": "m"},
        "fingerprint": function.fingerprint(),
        "target": f"{__name__}:Made",
    }


def test_unregistered_class_cannot_be_stored() -> None:
    """A table nobody could open again is refused when its schema is made."""
    with pytest.raises(ConfigurationError, match=r"Made is not registered.*@register"):
        make_class().create().to_binding("text", "vector")


def test_lancedb_record_is_read() -> None:
    """A table written by LanceDB, with its four fields only, opens here."""
    register("mine")(make_class())
    records = [
        {"name": "mine", "model": {"name": "x"}, "source_column": "a", "vector_column": "v"},
        {"name": "mine", "model": {"name": "x"}, "source_column": "b", "vector_column": "v"},
    ]
    found = get_registry().parse_functions({"embedding_functions": json.dumps(records)})
    assert found["v"].source_column == "b"
    assert found["v"].function.model_label() == "x"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[1]",
        '[{"name": "a"}]',
        '[{"name": 1, "source_column": "", "vector_column": ""}]',
    ],
)
def test_damaged_metadata_is_refused(text: str) -> None:
    """Metadata that cannot be understood is an error, not a table without embeddings."""
    with pytest.raises(SchemaError, match="embedding metadata is damaged"):
        read_bindings({METADATA_KEY: text.encode()})


def test_binding_of_a_missing_provider_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table can be looked at without its provider; only asking for the function fails."""
    record = {"name": "bedrock-text", "source_column": "a", "vector_column": "v"}
    binding = read_bindings({METADATA_KEY: json.dumps([record]).encode()})["v"]
    assert json.loads(bindings_metadata([binding])) == [record | {"model": {}}]
    monkeypatch.setattr(loader, "entry_points", lambda group: [])
    discovery.refresh()
    with pytest.raises(ProviderNotInstalledError, match=r"\./plugins/embow-bedrock"):
        binding.function()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"target": "shop.embed:Shop"}, "class Shop of module 'shop.embed': import that module"),
        ({"distribution": "embow-shop", "version": "2.1"}, "written with embow-shop: install it"),
        ({}, "Import the module that registers it first"),
    ],
)
def test_binding_of_an_unknown_provider_says_where_it_was_from(
    extra: dict[str, str], words: str
) -> None:
    """The error names column, provider and what to import or install."""
    with pytest.raises(ProviderNotFoundError, match="Column 'v' is embedded by") as caught:
        Binding("shop", {}, "a", "v", **extra).function()
    assert words in str(caught.value)


def test_same_settings_give_the_same_function() -> None:
    """However often a table is opened, its function is made once, and its model loaded once."""
    metadata = metadata_of(register("mine")(make_class()).create())
    first, again = (read_bindings(metadata)["vector"].function() for _ in range(2))
    assert first is again


def test_changed_variable_gives_another_function() -> None:
    """A function made with the old value of a variable is not handed out for the new one."""
    get_registry().set_var("NAME", "old")
    metadata = metadata_of(register("mine")(make_class()).create(name="$var:NAME"))
    old = read_bindings(metadata)["vector"].function()
    get_registry().set_var("NAME", "new")
    new = read_bindings(metadata)["vector"].function()
    assert (old.model_label(), new.model_label()) == ("old", "new")


def test_length_kept_in_the_table_is_known_to_the_function() -> None:
    """A provider that must ask for its vector length need not ask again."""
    register("mine")(make_class())
    assert Binding("mine", {}, "a", "v", ndims=77).function().ndims() == 77


def test_plain_key_lives_on_in_the_process() -> None:
    """A table made with a key as argument works until the process ends; nothing stores the key."""
    function = register("mine")(make_class()).create(api_key="k31415")
    metadata = metadata_of(function)
    assert b"31415" not in metadata["embedding_functions"]
    assert read_bindings(metadata)["vector"].function() is function


def test_keys_of_two_accounts_are_not_mixed_up() -> None:
    """Where settings do not tell two keys apart, no key is used, the environment's neither."""
    cls = register("mine")(make_class())
    first = cls.create(api_key="first")
    binding = read_bindings(metadata_of(first))["vector"]
    assert binding.function() is first
    metadata_of(cls.create(api_key="second"))
    metadata_of(cls.create(api_key="first"))
    with pytest.raises(ConfigurationError, match=r'api_key.*create\(api_key="\$var:KEY_A"\)'):
        binding.function()


def test_keys_named_apart_are_kept_apart() -> None:
    """With a variable for each key, each table sends its own."""
    cls = register("mine")(make_class())
    for name in ("KEY_A", "KEY_B"):
        get_registry().set_var(name, f"sk-{name}")
    made = [cls.create(api_key=f"$var:{name}") for name in ("KEY_A", "KEY_B")]
    found = [read_bindings(metadata_of(each))["vector"].function() for each in made]
    assert [secret_value(each, "api_key") for each in found] == ["sk-KEY_A", "sk-KEY_B"]


def test_key_of_an_opened_table_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that uses the environment's key does not go over to a key given later."""
    cls = register("mine")(make_class())
    monkeypatch.setattr(discovery, "credentials_of", lambda _: ("MINE_KEY",))
    monkeypatch.setenv("MINE_KEY", "sk-environment")
    binding = Binding("mine", cls.create().safe_model_dump(), "a", "v")
    assert binding.function().api_key is None  # type: ignore[attr-defined]
    metadata_of(cls.create(api_key="other"))
    with pytest.raises(ConfigurationError, match="cannot be told which of them is meant"):
        binding.function()


def test_key_given_after_a_table_was_opened_is_used() -> None:
    """Where there was no key before, the one that comes is no other account's."""
    cls = register("mine")(make_class())
    binding = Binding("mine", cls.create().safe_model_dump(), "a", "v")
    assert binding.function().api_key is None  # type: ignore[attr-defined]
    own = cls.create(api_key="first")
    metadata_of(own)
    assert binding.function() is own


# -- names LanceDB users import -----------------------------------------------------------


def test_public_names_are_all_there() -> None:
    """Every name the package offers can be imported from it."""
    for name in embow.embeddings.__all__:
        assert getattr(embow.embeddings, name) is not None
        assert name in dir(embow.embeddings)


def test_importing_the_package_costs_nothing() -> None:
    """The package itself imports neither pydantic nor numpy."""
    code = "import sys, embow.embeddings; print({'numpy', 'pydantic'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_provider_class_can_be_imported_by_its_lancedb_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Class names of LanceDB lead through the registry, the misspelt one too."""
    cls = make_class()
    monkeypatch.setitem(SHARED.registered, "instructor", cls)
    from embow.embeddings import InstuctorEmbeddingFunction

    assert InstuctorEmbeddingFunction is cls


def test_class_of_a_provider_embow_lacks_says_what_to_use() -> None:
    """Importing such a class raises an error with the alternative."""
    with pytest.raises(ImportError, match="'openai' provider with base_url") as caught:
        from embow.embeddings import JinaEmbeddings  # noqa: F401
    assert isinstance(caught.value, EmbowError)


@pytest.mark.parametrize("name", ["ColPaliEmbeddings", "JinaEmbeddings"])
def test_asking_whether_a_class_is_there_is_answered(name: str) -> None:
    """What programs of LanceDB's users ask before they use a provider is a plain no."""
    assert not hasattr(embow.embeddings, name)
    assert getattr(embow.embeddings, name, None) is None
    with pytest.raises(AttributeError, match="LanceDB has a provider"):
        _ = getattr(embow.embeddings, name)


def test_a_class_whose_plugin_is_not_installed_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A known provider without its plugin answers in the same way, with the command."""

    def missing(self: object, name: str) -> Any:
        raise ProviderNotInstalledError("Run: pip install it")

    monkeypatch.setattr(type(embow.embeddings.get_registry()), "get", missing)
    assert not hasattr(embow.embeddings, "OpenAIEmbeddings")
    with pytest.raises(ImportError, match="pip install it"):
        from embow.embeddings import OpenAIEmbeddings  # noqa: F401


def test_any_other_name_is_an_attribute_error() -> None:
    """A name nobody knows fails as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'NoSuchThing'"):
        _ = embow.embeddings.NoSuchThing


class Stored(TextEmbeddingFunction):
    """A provider that sets its own name."""

    provider_id: ClassVar[str | None] = "stored"

    def ndims(self) -> int:
        """Return the length of the vectors."""
        return 1

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return ones."""
        return np.ones((len(texts), 1), dtype=np.float32)


def test_function_is_hashable_and_unequal_to_other_classes() -> None:
    """Functions can be kept in sets, and equal settings do not make two classes one."""
    other = make_class().create()
    assert len({Stored.create(), Stored.create(), other}) == 2
    assert Stored.create() != other


# -- calls within limits ------------------------------------------------------------------


def test_long_lists_are_cut_into_calls_in_the_base() -> None:
    """A provider's own method gets no more than its limits allow; vectors keep their order."""
    sent: list[list[str]] = []

    class Small(TextEmbeddingFunction):
        """Takes two texts a call."""

        def ndims(self) -> int:
            return 1

        def limits(self) -> Limits:
            return Limits(max_items=2)

        def generate_embeddings(self, texts: list[str]) -> Any:
            sent.append(texts)
            return np.array([[len(text)] for text in texts], dtype=np.float32)

    function = Small.create()
    vectors = function.compute_source_embeddings(["a", "bb", "ccc", "dddd", "eeeee"])
    assert vectors.tolist() == [[1], [2], [3], [4], [5]]
    assert sent == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]
    assert function.compute_query_embeddings([]).shape == (0, 1)
    assert len(sent) == 3
