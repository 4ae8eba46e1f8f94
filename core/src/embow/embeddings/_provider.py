"""What everything has that is called through a plugin: settings, identity, limits, failures."""

from __future__ import annotations

import hashlib
import json
import warnings
from abc import ABC
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from embow.embeddings import _config as config
from embow.embeddings import classify
from embow.embeddings._secrets import (
    full_value,
    plain_secrets,
    secrets_of,
    without_url_secrets,
)
from embow.embeddings.types import Failure, Limits, leaves_folder, operational, provider_name
from embow.plugins import _discovery as discovery


class Provider(BaseModel, ABC):
    """Something with settings that is made by :meth:`create`, and called.

    Fields are the settings a user passes to :meth:`create`, of three classes: a field annotated
    with ``operational`` does not change what comes out; every other field that is not a secret is
    part of the identity; and one annotated with ``external`` besides is taken from a table's
    metadata only where the process allows it.
    """

    model_config = ConfigDict(
        extra="forbid",
        protected_namespaces=(),
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        validate_default=False,
    )

    provider_id: ClassVar[str | None] = None
    """Name the class is registered under. Set by the registry or by the class itself."""

    remote: ClassVar[bool] = False
    """Whether calls cost money or leave the machine: turns the cache on by default."""

    max_retries: Annotated[int, operational] = Field(
        default=7, ge=0, description="Calls made again after a failure that may pass."
    )

    _original_args: dict[str, Any] = PrivateAttr(default_factory=dict)
    _with_url_secrets: dict[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name in plain_secrets(cls):
            warnings.warn(
                f"Setting {name!r} of {cls.__name__} is named like a key and is plain text: tables "
                "would keep it and messages show it. Annotate it with pydantic.SecretStr.",
                UserWarning,
                stacklevel=3,
            )

    # -- making one ---------------------------------------------------------------------

    @classmethod
    def create(cls, /, **kwargs: Any) -> Self:
        """Make a function, resolving ``"$var:NAME"`` and ``"$var:NAME:default"`` strings.

        Raises:
            ConfigurationError: An argument is unknown or has the wrong type.
            VariableNotFoundError: A variable has no value and no default.
        """
        try:
            function = cls(**config.resolve_arguments(cls, kwargs))
        except ValidationError as exc:
            raise config.explain_validation(cls, exc) from None
        function._original_args = dict(kwargs)
        return function

    @model_validator(mode="after")
    def _hide_url_secrets(self) -> Self:
        """Keep what URLs hold of passwords and keys where no dump, repr or listing finds it."""
        for name, value in list(vars(self).items()):
            shown = without_url_secrets(value)
            if shown is not value and shown != value:
                self._with_url_secrets[name] = value
                vars(self)[name] = shown
        return self

    # -- what an author may declare -----------------------------------------------------

    def limits(self) -> Limits:
        """Return what one call may hold. The default is no limit and one call at a time."""
        return Limits()

    def classify(self, error: BaseException) -> Failure:
        """Say what kind of failure an exception is, so that it is treated as such."""
        return classify.classify(error, remote=self.remote)

    def identity(self) -> dict[str, Any]:
        """Return everything that changes what comes out, as plain JSON values."""
        return {
            "provider": provider_name(type(self)),
            **config.json_fields(self, config.identity_names(type(self))),
        }

    def account(self) -> str:
        """Return what rate limits are counted on. Never the key itself."""
        name = provider_name(type(self))
        secrets = secrets_of(self, discovery.credentials_of(name))
        places = {}
        for at in config.place_names(type(self)):
            if isinstance(place := getattr(self, at), str):
                places[at] = place
        return config.account_digest(name, self.model_label(), places, secrets)

    # -- used by the core ---------------------------------------------------------------

    def name_of_provider(self) -> str:
        """Return the registered name, or the class name of an unregistered class."""
        return provider_name(type(self))

    def model_label(self) -> str | None:
        """Return the model's name for messages, of a path its last part; or ``None``."""
        name = getattr(self, "name", None) or getattr(self, "model_name", None)
        if not isinstance(name, str):
            return None
        return (PurePath(name).name or name) if leaves_folder(name) else name

    def fingerprint(self) -> str:
        """Return the SHA-256 of the identity, in hex."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def safe_model_dump(self) -> dict[str, Any]:
        """Return the settings needed to make this function again, without any secret."""
        return config.dump_settings(self, self._original_args)

    # -- equality -----------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Provider):
            return NotImplemented
        return all(full_value(self, n) == full_value(other, n) for n in type(self).model_fields)

    def __hash__(self) -> int:
        return hash((type(self), self.fingerprint()))
