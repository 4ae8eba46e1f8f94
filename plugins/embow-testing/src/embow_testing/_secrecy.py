"""Checks of keys and packages: exact hints where they are missing, silence where they are there."""

from __future__ import annotations

import functools
import json
from typing import Any

from embow import plugins
from embow.embeddings import EmbeddingFunction, plain_secrets, secret_fields
from embow.errors import ConfigurationError, MissingCredentialError, MissingSdkError
from embow.plugins import ProviderSpec, State
from embow_testing._suite import ProviderSuite, in_fresh_process, raised, skip

SENTINEL = "sentinel-Zk4f9wQ"


class SecrecyChecks(ProviderSuite):
    """What is said when something is missing, and what is never said."""

    def test_missing_package_gives_the_command(self) -> None:
        """Without a package it calls, a provider is listed as such and says what to install."""
        spec = self.spec()
        if not spec.sdk:
            skip("the provider calls no package")
        function = self.make()
        for sdk in spec.sdk:
            job = functools.partial(_embed_without_package, function, self.inputs(1))
            answer = json.loads(in_fresh_process(job, without=[sdk.module]))
            assert answer["state"] == State.NEEDS_SDK, f"without {sdk.module}"
            assert answer["error"] == MissingSdkError.__name__, answer["message"]
            assert (sdk.hint or sdk.requirement) in answer["message"]

    def test_keys_are_secret_settings(self) -> None:
        """A key is annotated as a secret, so that no table keeps it and no message shows it."""
        cls = type(self.make())
        plain = plain_secrets(cls)
        assert not plain, f"{', '.join(plain)}: annotate keys with pydantic.SecretStr, not str"
        credentials = plugins.credentials_of(self.provider)
        if credentials and self.secret_field is not None:
            assert secret_fields(cls), (
                f"the spec names the credentials {', '.join(credentials)}, and no setting is a "
                "pydantic.SecretStr. Where the vendor's package alone reads them, say so with "
                "secret_field = None"
            )

    def test_missing_key_gives_every_way_to_pass_one(self, monkeypatch: Any) -> None:
        """Without a key the error names the argument, the variable and the environment."""
        function = self.make()
        if self.secret_field is None or self.secret_field not in secret_fields(type(function)):
            skip(f"the provider has no secret setting {self.secret_field!r}")
        credentials = plugins.credentials_of(self.provider)
        for name in credentials:
            monkeypatch.delenv(name, raising=False)
        settings = function.safe_model_dump()
        settings.pop(self.secret_field, None)
        keyless = type(function).create(**settings)
        call = functools.partial(keyless.compute_source_embeddings, self.inputs(1))
        message = str(raised(MissingCredentialError, call))
        for part in (f"{self.secret_field}=", "$var:", *credentials):
            assert part in message, f"{part!r} is not in {message!r}"

    def test_secrets_never_show(self) -> None:
        """A key is in no text a function gives of itself: dump, metadata, identity or error."""
        function = self.make()
        fields = secret_fields(type(function))
        if not fields:
            skip("the provider has no secret settings")
        for field in sorted(fields):
            secret = _with_secret(function, field)
            for what, text in _everything_said(secret):
                assert SENTINEL not in text, f"{field} shows in {what}"

    def test_references_are_kept_as_given(self) -> None:
        """A ``$var:`` reference to a key is stored, so that the table finds the key again."""
        function = self.make()
        if self.secret_field is None or self.secret_field not in secret_fields(type(function)):
            skip(f"the provider has no secret setting {self.secret_field!r}")
        settings = function.safe_model_dump() | {self.secret_field: "$var:SOME_KEY"}
        again = type(function).create(**settings)
        assert again.safe_model_dump()[self.secret_field] == "$var:SOME_KEY"


def _with_secret(function: EmbeddingFunction, field: str) -> EmbeddingFunction:
    """Return the function with the sentinel in one of its secret settings."""
    settings = function.safe_model_dump()
    try:
        return type(function).create(**settings | {field: SENTINEL})
    except ConfigurationError:
        return type(function).create(**settings | {field: {"Authorization": SENTINEL}})


def _everything_said(function: EmbeddingFunction) -> list[tuple[str, str]]:
    """Return every text a function gives of itself, by what it is."""
    cls = type(function)
    wrong = {name: getattr(function, name) for name in secret_fields(cls)} | {"max_retries": "x"}
    return [
        ("repr", repr(function)),
        ("str", str(function)),
        ("model_dump", repr(function.model_dump())),
        ("model_dump_json", function.model_dump_json()),
        ("safe_model_dump", json.dumps(function.safe_model_dump())),
        ("metadata", json.dumps(function.to_binding("text", "vector"))),
        ("identity", json.dumps(function.identity())),
        ("account", function.account()),
        ("errors", str(raised(ConfigurationError, lambda: cls.create(**wrong)))),
    ]


def _embed_without_package(function: EmbeddingFunction, inputs: list[Any]) -> str:
    """Embed, and return as JSON how the provider is listed and what it raised."""
    listed = plugins.catalog().find(ProviderSpec, function.name_of_provider())
    answer = {"state": listed.state if listed else None, "error": None, "message": ""}
    try:
        function.compute_source_embeddings(inputs)
    except Exception as exc:
        answer |= {"error": type(exc).__name__, "message": str(exc)}
    return json.dumps(answer)
