"""Checks of what a provider declares: spec, settings, vector length, metadata, overrides."""

from __future__ import annotations

import dataclasses
import functools
import json
import pickle
import socket
import sys
from typing import Any, NoReturn

from embow import plugins
from embow.embeddings import Binding, EmbeddingFunction, describe_settings, secret_fields
from embow.errors import ConfigurationError
from embow.plugins import API_VERSION, ProviderSpec
from embow_testing._suite import (
    LEADS_ELSEWHERE,
    ProviderSuite,
    in_fresh_process,
    raised,
    skip,
)

_OF_THE_CORE = (
    "create",
    "safe_model_dump",
    "to_binding",
    "fingerprint",
    "name_of_provider",
    "known_ndims",
    "remember_ndims",
    "compute_source_embeddings_with_retry",
    "compute_query_embeddings_with_retry",
    "sanitize_input",
    "SourceField",
    "VectorField",
    "__eq__",
    "__hash__",
    "__repr_args__",
)


class ContractChecks(ProviderSuite):
    """What can be said of a provider without embedding anything."""

    def test_spec_is_plain_and_complete(self) -> None:
        """The spec is data only, for this interface, with a summary to list it by."""
        spec = self.spec()
        assert json.loads(json.dumps(dataclasses.asdict(spec)))["id"] == spec.id
        assert pickle.loads(pickle.dumps(spec)) == spec
        assert spec.api == API_VERSION, f"written for interface {spec.api}, not {API_VERSION}"
        assert spec.summary, "a summary of one line is shown in listings"
        assert len(spec.summary) <= 70, f"{len(spec.summary)} characters do not fit a line"
        assert spec.modalities, "a provider embeds something"

    def test_listing_imports_neither_class_nor_sdk(self) -> None:
        """Providers are listed without importing the class or any package it calls."""
        spec = self.spec()
        watched = [spec.target.partition(":")[0], *(sdk.module for sdk in spec.sdk)]
        imported = in_fresh_process(functools.partial(_imported_by_listing, tuple(watched)))
        assert json.loads(imported) == [], "imported while listing"

    def test_class_answers_to_its_name(self) -> None:
        """The class behind the spec calls itself by the id it is registered under."""
        function = self.make()
        got = function.name_of_provider()
        assert got == self.provider, f"got {got!r}, expected {self.provider!r}"

    def test_settings_are_documented(self) -> None:
        """Each setting says what it does, for the listings and the documentation."""
        bare = [s.name for s in describe_settings(type(self.make())) if not s.description]
        assert not bare, f"no Field(description=...): {', '.join(bare)}"

    def test_settings_that_lead_elsewhere_are_marked(self) -> None:
        """A setting that decides where data and keys go, or what runs, needs trust in a table."""
        settings = describe_settings(type(self.make()))
        bare = [s.name for s in settings if LEADS_ELSEWHERE.search(s.name) and not s.external]
        assert not bare, (
            f"{', '.join(bare)}: anyone who hands over a table could set this. Annotate it with "
            "external, local_path or External(...) of embow.embeddings"
        )

    def test_unknown_argument_is_refused(self) -> None:
        """A misspelt argument is named together with those that exist, never with its value."""
        cls = type(self.make())
        wrong = {"no_such_setting": "sentinel-value"}
        error = raised(ConfigurationError, lambda: cls.create(**wrong))
        assert "no_such_setting" in str(error)
        assert "max_retries" in str(error), "the accepted arguments are listed"
        assert "sentinel-value" not in str(error)

    def test_ndims_is_stable(self) -> None:
        """The vector length is a positive number that does not change."""
        function = self.make()
        first, again = function.ndims(), self.make().ndims()
        assert isinstance(first, int), f"got {type(first).__name__}, expected int"
        assert first > 0, f"got {first}, expected a positive number"
        lengths = [first, again, function.ndims()]
        assert len(set(lengths)) == 1, f"got {lengths} when asked three times, expected one length"

    def test_ndims_of_known_models_is_free(self) -> None:
        """The length of a known model needs no package, no model and no network."""
        if not self.known_models:
            skip("the provider declares no known_models")
        cls = type(self.make())
        listed = plugins.catalog().find(ProviderSpec, self.provider)
        packages = [sdk.module for sdk in listed.spec.sdk] if listed and listed.spec else []
        for settings, ndims in self.known_models:
            job = functools.partial(_ndims_offline, cls, dict(settings))
            got = int(in_fresh_process(job, without=packages))
            assert got == ndims, f"got {got} dimensions for {settings}, expected {ndims}"

    def test_identity_is_plain_and_keeps_out_what_does_not_matter(self) -> None:
        """The identity is JSON with the provider's id, and without what changes no vector."""
        function = self.make()
        identity = function.identity()
        plain = json.loads(json.dumps(identity))
        assert plain == identity, f"got {identity}, which comes back from JSON as {plain}"
        named = identity["provider"]
        assert named == self.provider, f"got {named!r}, expected {self.provider!r}"
        outside = {s.name for s in describe_settings(type(function)) if s.kind != "identity"}
        assert not outside & identity.keys(), "these do not change the vectors"

    def test_metadata_round_trip_gives_an_equal_function(self) -> None:
        """What a table keeps is JSON that makes the same function again, keys aside."""
        function = self.make()
        record = json.loads(json.dumps(function.to_binding("text", "vector")))
        binding = Binding.from_record(record)
        assert binding.to_record() == record
        assert binding.ndims == function.ndims()
        again = type(function).create(**binding.settings)
        assert again.fingerprint() == function.fingerprint() == binding.fingerprint
        assert _open_settings(again) == _open_settings(function)

    def test_pickles(self) -> None:
        """A function survives pickling, so that it can be sent to another process."""
        function = self.make()
        again = pickle.loads(pickle.dumps(function))
        assert again == function
        assert again.safe_model_dump() == function.safe_model_dump()

    def test_nothing_of_the_base_is_lost(self) -> None:
        """What the core relies on is neither overridden without a reason nor taken away."""
        cls = type(self.make())
        changed = [
            name
            for name in _OF_THE_CORE
            if getattr(cls, name).__qualname__ != getattr(EmbeddingFunction, name).__qualname__
        ]
        without_reason = [name for name in changed if not self.overrides.get(name)]
        assert not without_reason, f"overridden, and overrides gives no reason: {without_reason}"
        missing = EmbeddingFunction.model_fields.keys() - cls.model_fields.keys()
        assert not missing, f"settings of every provider are gone: {missing}"
        for key in ("extra", "hide_input_in_errors"):
            assert cls.model_config.get(key) == EmbeddingFunction.model_config[key], key


def _open_settings(function: EmbeddingFunction) -> dict[str, Any]:
    """Return the settings that are no secrets."""
    cls = type(function)
    return {n: getattr(function, n) for n in cls.model_fields.keys() - secret_fields(cls)}


def _imported_by_listing(watched: tuple[str, ...]) -> str:
    """List the providers and return which of the modules that imported, as JSON."""
    assert plugins.catalog().of(ProviderSpec), "nothing is listed"
    return json.dumps([name for name in watched if sys.modules.get(name) is not None])


def _ndims_offline(cls: type[EmbeddingFunction], settings: dict[str, Any]) -> str:
    """Return the vector length, with sockets that connect nowhere."""

    def refuse(*args: object) -> NoReturn:
        raise AssertionError("ndims() of a known model opened a connection")

    socket.socket.connect = refuse  # type: ignore[method-assign]
    return str(cls.create(**settings).ndims())
