"""The conformance suite passes a good provider, and each of its checks fails a bad one."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from pydantic import ConfigDict, Field, SecretStr

from distributions import install, run
from embow.embeddings import (
    Failure,
    FailureKind,
    TextEmbeddingFunction,
    external,
    load_once,
    operational,
)
from embow_testing.conformance import ProviderConformance
from embow_testing.fake import FakeEmbeddings
from embow_testing.server import EmbeddingServer
from openai_protocol import OpenAIProtocol

COUNTER = itertools.count()


class Fake(FakeEmbeddings):
    """The fake, with one thing wrong in each subclass."""

    provider_id: ClassVar[str | None] = "fake"


class TestFakeConforms(ProviderConformance):
    """The fake passes everything that applies to it."""

    provider = "fake"
    normalized = True
    known_models = (({}, 16), ({"dim": 4}, 4))

    def make(self) -> FakeEmbeddings:
        """Return a fake with small calls."""
        return FakeEmbeddings.create(batch_size=3)


class TestBytesConform(ProviderConformance):
    """A provider of another modality is served by its own samples."""

    provider = "lengths"
    samples = (b"abc", b"defgh", b"i")
    queries = (b"jk",)

    def make(self) -> Any:
        """Return a provider that takes bytes."""
        return Lengths.create()


class Lengths(Fake):
    """Embed bytes by their length."""

    provider_id: ClassVar[str | None] = "lengths"

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed bytes, refusing anything else."""
        values = self.sanitize_input(inputs)
        if not all(isinstance(value, bytes) for value in values):
            raise TypeError("bytes are needed")
        rows = [[len(value), *[1.0] * (self.dim - 1)] for value in values]
        return np.array(rows, dtype=np.float32).reshape(-1, self.dim)

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Embed queries as documents."""
        return self.compute_source_embeddings(query)


# -- providers with one fault each --------------------------------------------------------


class Nameless(Fake):
    """Answers to another name."""

    provider_id: ClassVar[str | None] = "other"


class Undocumented(Fake):
    """Has a setting that says nothing of itself."""

    mystery: int = 1


class Lenient(Fake):
    """Takes any argument."""

    model_config = ConfigDict(extra="ignore")

    @classmethod
    def create(cls, **kwargs: Any) -> Any:
        """Make a function from whatever is given."""
        return cls(**kwargs)


class Restless(Fake):
    """Changes its mind about the vector length."""

    def ndims(self) -> int:
        """Return another number each time."""
        return next(COUNTER) + 1


class Vague(Fake):
    """Has an identity that JSON cannot hold."""

    def identity(self) -> dict[str, Any]:
        """Return an object."""
        return {"provider": "fake", "model": object()}


class Forgetful(Fake):
    """Keeps nothing of its settings."""

    def safe_model_dump(self) -> dict[str, Any]:
        """Return nothing."""
        return {}


class Unpicklable(Fake):
    """Cannot be sent to another process."""

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle")


class Jagged(Fake):
    """Gives an empty list for no input."""

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return an array without a width for no input."""
        vectors = super().compute_source_embeddings(inputs)
        return vectors if len(vectors) else np.empty(0, dtype=np.float32)


class Shuffled(Fake):
    """Returns vectors in the wrong order."""

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Turn the answer round."""
        return super().generate_embeddings(texts)[::-1]


class Truncating(Fake):
    """Embeds only what fits one call."""

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Drop the rest."""
        return super().compute_source_embeddings(self.sanitize_input(inputs)[:3])


class Constant(Fake):
    """Gives every text the same vector."""

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return ones."""
        return np.full((len(texts), self.dim), 0.25, dtype=np.float32)


class Lists(Fake):
    """Returns lists of lists."""

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return lists."""
        return super().generate_embeddings(texts).tolist()


class Doubles(Fake):
    """Returns float64."""

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return another dtype."""
        return super().generate_embeddings(texts).astype(np.float64)


class Long(Fake):
    """Returns vectors that are not of length one."""

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Return longer vectors."""
        return super().generate_embeddings(texts) * 2


class FlatQueries(Fake):
    """Returns one flat vector for a query."""

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        """Leave the first dimension out."""
        return super().compute_query_embeddings(query)[0]


class ListsOnly(Fake):
    """Takes nothing but lists."""

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Read other forms as no input."""
        return super().compute_source_embeddings(inputs if isinstance(inputs, list) else [])


class Obliging(Fake):
    """Makes up a vector for a missing value."""

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Read ``None`` as empty text."""
        return super().compute_source_embeddings([v or "" for v in self.sanitize_input(inputs)])


class Drifting(Fake):
    """Changes a setting when it is used."""

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Write what it saw into its settings."""
        self.batch_size = len(texts) + 7
        return super().generate_embeddings(texts)


class Stubborn(Fake):
    """Calls every error permanent."""

    def classify(self, error: BaseException) -> Failure:
        """Give up on everything."""
        return Failure(FailureKind.PERMANENT)


class Careless(Fake):
    """Takes any device."""

    device: str = Field(default="cpu", description="Where it runs.")


class Leaky(Fake):
    """Shows its key in its identity."""

    api_key: SecretStr = Field(default=SecretStr(""), description="The key.")

    def identity(self) -> dict[str, Any]:
        """Return more than it should."""
        return {"provider": "fake", "key": self.api_key.get_secret_value()}


class Keyless(Fake):
    """Embeds without the key it says it needs."""

    api_key: SecretStr | None = Field(default=None, description="The key.")


class Reloading(Fake):
    """Loads its model for each function."""

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Load under a key of this object alone."""
        load_once(id(self), load_model)
        return super().generate_embeddings(texts)


class Insistent(Fake):
    """Asks again by itself where a server fails."""

    base_url: Annotated[str, operational, external] = Field(default="", description="Address.")

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Ask a server, twice at most."""
        body = json.dumps({"model": "m", "input": texts}).encode()
        for _ in range(2):
            try:
                with urllib.request.urlopen(f"{self.base_url}/embeddings", body):
                    return super().generate_embeddings(texts)
            except urllib.error.HTTPError as exc:
                exc.close()
        raise RuntimeError("the server failed twice")


class Exposed(Fake):
    """Lets a table decide where requests go."""

    proxy_url: str | None = Field(default=None, description="A proxy.")


class Batchwise(Fake):
    """Gives other vectors in other batches, and says that it does not."""

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Add the size of the batch to each vector."""
        return np.asarray(super().generate_embeddings(texts)) + self.batch_size


with pytest.warns(UserWarning, match="'api_key' of Plain is named like a key"):

    class Plain(Fake):
        """Takes its key as plain text."""

        api_key: str | None = Field(default=None, description="The key.")


def load_model() -> object:
    """Stand for a slow load."""
    return object()


FAULTS: Sequence[tuple[type[TextEmbeddingFunction], str]] = [
    (Nameless, "test_class_answers_to_its_name"),
    (Undocumented, "test_settings_are_documented"),
    (Lenient, "test_unknown_argument_is_refused"),
    (Lenient, "test_nothing_of_the_base_is_lost"),
    (Restless, "test_ndims_is_stable"),
    (Vague, "test_identity_is_plain_and_keeps_out_what_does_not_matter"),
    (Forgetful, "test_metadata_round_trip_gives_an_equal_function"),
    (Forgetful, "test_nothing_of_the_base_is_lost"),
    (Unpicklable, "test_pickles"),
    (Unpicklable, "test_pickled_function_embeds_the_same"),
    (Jagged, "test_no_input_gives_no_vector"),
    (Shuffled, "test_one_vector_an_input_in_order"),
    (Truncating, "test_one_vector_an_input_in_order"),
    (Constant, "test_different_inputs_give_different_vectors"),
    (Lists, "test_vectors_are_usable"),
    (Doubles, "test_vectors_are_usable"),
    (Long, "test_vectors_are_usable"),
    (FlatQueries, "test_queries_give_vectors_of_the_same_space"),
    (ListsOnly, "test_every_form_of_input_gives_the_same_vectors"),
    (Obliging, "test_missing_value_is_refused"),
    (Drifting, "test_metadata_and_settings_survive_use"),
    (Stubborn, "test_errors_are_told_apart"),
    (Careless, "test_device_names"),
    (Leaky, "test_secrets_never_show"),
    (Exposed, "test_settings_that_lead_elsewhere_are_marked"),
    (Batchwise, "test_batch_size_changes_no_vector"),
    (Plain, "test_keys_are_secret_settings"),
]


@pytest.mark.parametrize(("faulty", "check"), FAULTS, ids=lambda v: getattr(v, "__name__", v))
def test_each_check_fails_a_provider_with_that_fault(
    faulty: type[FakeEmbeddings], check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that could not fail would promise nothing."""
    monkeypatch.setattr(faulty, "provider_id", vars(faulty).get("provider_id", "fake"))

    class Suite(ProviderConformance):
        provider = "fake"
        normalized = True

        def make(self) -> Any:
            return faulty.create(batch_size=3, dim=5)

    with pytest.raises((AssertionError, TypeError)):
        getattr(Suite(), check)()


def test_a_key_that_is_not_needed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of a missing key fails where no error comes."""

    class Suite(ProviderConformance):
        provider = "fake"

        def make(self) -> Any:
            return Keyless.create()

    with pytest.raises(AssertionError, match="MissingCredentialError"):
        Suite().test_missing_key_gives_every_way_to_pass_one(monkeypatch)


def test_wrong_lengths_are_told_in_numbers() -> None:
    """A failing check says what came and what was expected."""

    class Suite(ProviderConformance):
        provider = "fake"

        def make(self) -> Any:
            return Truncating.create(batch_size=3, dim=5)

    with pytest.raises(AssertionError, match=r"got vectors of shape \(\d, 5\), expected \(4, 5\)"):
        Suite().test_one_vector_an_input_in_order()


def test_retries_of_ones_own_are_noticed() -> None:
    """A call that asks a failing server twice fails its check, with the count."""
    protocol = OpenAIProtocol(dims=8)
    with EmbeddingServer(protocol) as running:

        class Suite(ProviderConformance):
            provider = "fake"
            server = running

            def make(self) -> Any:
                return Insistent.create(base_url=running.url)

        with pytest.raises(AssertionError, match="got 2 requests"):
            Suite().test_a_failing_call_is_one_request()


def test_credentials_without_a_secret_setting_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spec that names keys belongs to a class that can take one, unless it says otherwise."""

    class Suite(ProviderConformance):
        provider = "fake"

        def make(self) -> Any:
            return Fake.create()

    monkeypatch.setattr("embow.plugins.credentials_of", lambda name: ("FAKE_KEY",))
    with pytest.raises(AssertionError, match="FAKE_KEY"):
        Suite().test_keys_are_secret_settings()
    monkeypatch.setattr(Suite, "secret_field", None)
    Suite().test_keys_are_secret_settings()


def test_a_second_load_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of one load fails where each function loads for itself."""

    class Suite(ProviderConformance):
        provider = "fake"
        loader = f"{__name__}:load_model"

        def make(self) -> Any:
            return Reloading.create()

    with pytest.raises(AssertionError, match="loaded 2 times"):
        Suite().test_two_threads_share_one_load(monkeypatch)


# -- checks that need an installed plugin -------------------------------------------------

GOOD_PLUGIN = """
    from embow.plugins import ProviderSpec, Sdk, hookimpl

    @hookimpl
    def embow_providers():
        return [
            ProviderSpec(
                id="far",
                target="far_provider:Far",
                summary="Vectors from afar",
                sdk=(Sdk("far_sdk", "far-sdk>=2"),),
                credentials=("FAR_API_KEY",),
                remote=True,
            )
        ]
"""

GOOD_PROVIDER = """
    import numpy as np
    from pydantic import Field, SecretStr
    from embow.embeddings import TextEmbeddingFunction, load_sdk, secret_value

    class Far(TextEmbeddingFunction):
        provider_id = "far"
        api_key: SecretStr | None = Field(default=None, description="The key.")

        def ndims(self):
            return 8

        def generate_embeddings(self, texts):
            sdk = load_sdk(self, "far_sdk")
            key = secret_value(self, "api_key", env=("FAR_API_KEY",))
            return sdk.embed(texts, key)
"""

SDK = """
    import numpy as np
    from embow_testing.vectors import embed_values

    def embed(texts, key):
        return embed_values(texts, 8)
"""

TESTS = """
    from embow.embeddings import get_registry
    from embow_testing.conformance import ProviderConformance

    class TestFar(ProviderConformance):
        provider = "far"
        normalized = True
        known_models = (({}, 8),)

        def make(self):
            return get_registry().get("far").create(api_key="k")
"""


CONNECTS = "__import__('socket').create_connection(('127.0.0.1', 9)); return 8"


def outcome(tmp_path: Path, plugin: str = GOOD_PLUGIN, provider: str = GOOD_PROVIDER) -> str:
    """Install a provider and return what pytest says of its conformance tests."""
    modules = {"far_plugin": plugin, "far_provider": provider, "test_far": TESTS}
    site = install(tmp_path / "site", "embow-far", modules, {"far": "far_plugin"})
    install(site, "far-sdk", {"far_sdk": SDK}, {}, version="2.5")
    arguments = ["-q", "-p", "no:cacheprovider", str(site / "test_far.py")]
    return run(site, "-m", "pytest", *arguments).stdout


def test_good_plugin_passes_everything(tmp_path: Path) -> None:
    """A provider with an SDK and a key passes, with only what it has no setting for skipped."""
    assert "28 passed, 3 skipped" in outcome(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "check"),
    [
        ('load_sdk(self, "far_sdk")', '__import__("far_sdk")', "test_missing_package_gives"),
        ("import numpy as np", "import far_sdk", "test_ndims_of_known_models_is_free"),
        ("return 8", CONNECTS, "test_ndims_of_known_models_is_free"),
        ('env=("FAR_API_KEY",)', "required=False", "test_missing_key_gives_every_way"),
    ],
)
def test_faulty_provider_is_noticed(tmp_path: Path, before: str, after: str, check: str) -> None:
    """A bare or early import, a connection and a forgotten key each fail their check."""
    out = outcome(tmp_path, provider=GOOD_PROVIDER.replace(before, after))
    assert f"::{check}" in out


@pytest.mark.parametrize(
    ("before", "after", "check"),
    [
        ("@hookimpl", "import far_sdk\n\n    @hookimpl", "test_listing_imports_neither"),
        ('"Vectors from afar"', '""', "test_spec_is_plain_and_complete"),
    ],
)
def test_faulty_plugin_is_noticed(tmp_path: Path, before: str, after: str, check: str) -> None:
    """A plugin module that imports the SDK, or says nothing of itself, fails its check."""
    out = outcome(tmp_path, plugin=GOOD_PLUGIN.replace(before, after))
    assert f"::{check}" in out
