"""Settings of a function: how they come in, what is kept of them, what identifies vectors."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from embow import variables
from embow.embeddings._secrets import (
    references_only,
    scrub,
    secret_fields,
    without_url_secrets,
)
from embow.embeddings.types import External, operational, provider_name
from embow.errors import ConfigurationError

_ACCOUNT_SALT = b"embow account 1"


def resolve_arguments(cls: type[BaseModel], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with every ``$var:`` reference replaced.

    References in secret fields stay: those are followed each time the secret is needed.

    Raises:
        ConfigurationError: An argument is not a field of the class.
        VariableNotFoundError: A variable has no value and no default.
    """
    accepted = accepted_names(cls)
    for name in kwargs:
        if name not in accepted:
            raise _unknown_argument(cls, name, accepted)
    secret = secret_fields(cls)
    return {
        name: value if accepted[name] in secret else variables.resolve(value)
        for name, value in kwargs.items()
    }


def explain_validation(cls: type[BaseModel], error: ValidationError) -> ConfigurationError:
    """Return a pydantic error as one sentence an argument, without the values given."""
    accepted = accepted_names(cls)
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        field = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            return _unknown_argument(cls, field, accepted)
        hidden = accepted.get(field, field) in secret_fields(cls)
        message = "the value does not fit" if hidden else problem["msg"]
        message = scrub(message, _secrets_in(cls, problem["input"]))
        where = ".".join(str(part) for part in problem["loc"])
        lines.append(f"argument {where!r}: {message}" if where else message)
    return ConfigurationError(f"Provider {provider_name(cls)!r}: {'; '.join(lines)}.")


def dump_settings(function: BaseModel, original_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings as JSON values, so that ``create(**settings)`` makes an equal function.

    Defaults are written out, ``$var:`` references stay as they were given, and plain secrets,
    those in URLs included, are left out.

    Raises:
        ConfigurationError: A field holds something JSON cannot.
    """
    cls = type(function)
    accepted = accepted_names(cls)
    settings = json_fields(function, _stored_names(cls))
    for argument, value in original_args.items():
        name = accepted.get(argument, argument)
        if name in settings and variables.has_reference(value):
            settings[name] = without_url_secrets(value)
    for name in secret_fields(cls):
        reference = references_only(getattr(function, name))
        if reference is not None:
            settings[name] = reference
    return settings


def account_digest(
    provider: str, model: str | None, places: Mapping[str, str], secrets: Iterable[str]
) -> str:
    """Return 16 hex digits that stand for who is called with which keys, equal in every process.

    Args:
        provider: The provider's id.
        model: What it is asked for.
        places: Settings that say where; two servers of one key have limits of their own.
        secrets: The keys.
    """
    digest = hashlib.sha256(_ACCOUNT_SALT)
    for part in (provider, model or "", json.dumps(places, sort_keys=True), *secrets):
        digest.update(hashlib.sha256(part.encode(errors="surrogatepass")).digest())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=512)
def _stored_names(cls: type[BaseModel]) -> set[str]:
    """Return the fields that are neither secret nor excluded from dumps."""
    return {n for n, i in cls.model_fields.items() if not i.exclude} - secret_fields(cls)


@lru_cache(maxsize=512)
def identity_names(cls: type[BaseModel]) -> set[str]:
    """Return those of them that change the vectors: not those marked ``operational``."""
    return {n for n in _stored_names(cls) if operational not in cls.model_fields[n].metadata}


@lru_cache(maxsize=512)
def external_marks(cls: type[BaseModel]) -> dict[str, list[External]]:
    """Return the marks of each field that may decide where data go or what runs."""
    marked: dict[str, list[External]] = {}
    for name, info in cls.model_fields.items():
        if found := [mark for mark in info.metadata if isinstance(mark, External)]:
            marked[name] = found
    return marked


@lru_cache(maxsize=512)
def place_names(cls: type[BaseModel]) -> set[str]:
    """Return the fields with such a mark that are neither secret nor excluded from dumps."""
    return _stored_names(cls) & external_marks(cls).keys()


def json_fields(function: BaseModel, names: set[str]) -> dict[str, Any]:
    """Dump the named fields as JSON values."""
    try:
        return BaseModel.model_dump(function, mode="json", include=names)
    except PydanticSerializationError as exc:
        raise ConfigurationError(
            f"The settings of provider {provider_name(type(function))!r} cannot be stored: {exc}. "
            "Use plain "
            "types, or declare the field with Field(exclude=True)."
        ) from exc


@lru_cache(maxsize=512)
def accepted_names(cls: type[BaseModel]) -> dict[str, str]:
    """Return every argument name the class takes, with the field it sets."""
    names = {name: name for name in cls.model_fields}
    names.update({i.alias: name for name, i in cls.model_fields.items() if i.alias})
    return names


def _unknown_argument(
    cls: type[BaseModel], name: str, accepted: Iterable[str]
) -> ConfigurationError:
    names = sorted(accepted)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return ConfigurationError(
        f"Provider {provider_name(cls)!r} has no argument {name!r}.{guess} "
        f"Accepted: {', '.join(names)}."
    )


def _secrets_in(cls: type[BaseModel], given: Any) -> list[str]:
    """Return the secret texts among the arguments of a failed call."""
    if not isinstance(given, Mapping):
        return []
    values = (given.get(name) for name in secret_fields(cls))
    return [value for value in values if isinstance(value, str)]
