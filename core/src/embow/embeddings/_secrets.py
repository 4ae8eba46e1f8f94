"""Keys and passwords: which settings hold them, when they are read, and how text is cleaned."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin, overload
from urllib.parse import quote

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

from embow.embeddings.types import provider_name
from embow.errors import MissingCredentialError, VariableNotFoundError
from embow.variables import PREFIX, Reference, lookup, parse_reference

MASK = "***"

_SECRET_TYPES = (Secret, SecretStr, SecretBytes)
_LIKE_A_SECRET = re.compile(
    r"(?:^|_)(?:(?:api|access)?key|api_?keys|token|secrets?|passwd|pass(?:words?|phrase)|"
    r"credentials?|bearer|auth)$"
)
_USERINFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/\s?#]*)@")
_IN_QUERY = re.compile(
    r"(?P<name>[?&](?:key|sig|auth|[\w.-]*(?:token|secret|passw|signature|credential|api[_-]?key)"
    r"[\w.-]*)=)(?P<value>[^&#\s'\"]*)",
    re.IGNORECASE,
)


@lru_cache(maxsize=512)
def secret_fields(cls: type[BaseModel]) -> frozenset[str]:
    """Return the fields whose annotation holds a secret type anywhere."""
    return frozenset(
        name for name, info in cls.model_fields.items() if _is_secret(info.annotation, {cls})
    )


@lru_cache(maxsize=512)
def plain_secrets(cls: type[BaseModel]) -> tuple[str, ...]:
    """Return the fields that are named like a key and hold text anyone can read."""
    fields = cls.model_fields.items()
    named = [(name, info.annotation) for name, info in fields if _like_a_secret(name)]
    return tuple(n for n, kind in named if n not in secret_fields(cls) and _holds_text(kind))


def _like_a_secret(name: str) -> bool:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()  # as in secretKey
    return _LIKE_A_SECRET.search(words) is not None


def _holds_text(annotation: Any) -> bool:
    return annotation in (str, bytes) or any(map(_holds_text, get_args(annotation)))


def _is_secret(annotation: Any, seen: set[type]) -> bool:
    """Tell whether an annotation is, contains, or is a model that contains, a secret type."""
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type):
        if issubclass(origin, _SECRET_TYPES):
            return True
        if issubclass(origin, BaseModel) and origin not in seen:
            seen.add(origin)
            fields = origin.model_fields.values()
            return any(_is_secret(info.annotation, seen) for info in fields)
    return any(_is_secret(argument, seen) for argument in get_args(annotation))


@overload
def secret_value(
    function: BaseModel,
    field: str,
    env: Iterable[str] = (),
    required: Literal[True] = True,
) -> str: ...
@overload
def secret_value(
    function: BaseModel, field: str, env: Iterable[str] = (), *, required: bool
) -> str | None: ...
def secret_value(
    function: BaseModel, field: str, env: Iterable[str] = (), required: bool = True
) -> str | None:
    """Return a key at the moment it is needed.

    The argument comes first, then the variable it names, then the environment.

    Args:
        function: Function that holds the field.
        field: Name of a field annotated with ``SecretStr``.
        env: Environment variables the vendor reads, the preferred one first.
        required: Whether a missing key is an error; otherwise it gives ``None``.

    Raises:
        MissingCredentialError: There is no key; the message names all three ways to give one.
    """
    names = tuple(env)
    text = _plain(getattr(function, field))
    if text:
        reference = parse_reference(text)
        if reference is None:
            return text
        found = _lookup_or_none(reference)
        if found or not required:
            return found or None
        raise _missing(function, field, names, reference.name)
    for name in names:
        if value := os.environ.get(name):
            return value
    if required:
        raise _missing(function, field, names, None)
    return None


def secret_mapping(function: BaseModel, field: str) -> dict[str, str]:
    """Return a ``dict[str, SecretStr]`` field, such as headers, in clear.

    Raises:
        MissingCredentialError: An entry names a variable that has no value.
    """
    clear: dict[str, str] = {}
    for key, value in (getattr(function, field) or {}).items():
        reference = parse_reference(_plain(value))
        found = _plain(value) if reference is None else _lookup_or_none(reference)
        if found is None:
            raise _missing(function, f"{field}[{key!r}]", (), reference.name if reference else None)
        clear[key] = found
    return clear


def secrets_of(function: BaseModel, env: Iterable[str] = ()) -> list[str]:
    """Return every secret text a function may send, for :func:`scrub`."""
    secret = secret_fields(type(function))
    found: list[str] = []
    for name in sorted(secret):
        found += _texts(getattr(function, name, None))
    for name in sorted(type(function).model_fields.keys() - secret):
        value = full_value(function, name)
        if not isinstance(value, (bool, int, float, NoneType)):
            found += _url_secrets(value)
    for name in env:
        found.append(os.environ.get(name, ""))
    return list(filter(None, dict.fromkeys(found)))


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Return text with every secret, and every password and key in a URL, masked.

    Each secret is also found as it looks inside a URL or a JSON string. One shorter than four
    characters is masked only where it stands alone, so that the rest stays readable.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        if len(form) >= 4:
            text = text.replace(form, MASK)
        else:
            text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", MASK, text)
    text = _IN_QUERY.sub(rf"\g<name>{MASK}", text)
    return _USERINFO.sub(rf"\g<scheme>{MASK}@", text)


def without_url_secrets(value: Any) -> Any:
    """Return a value with ``user:password@`` and keys in the query cut out of every URL in it."""
    if isinstance(value, str) and "://" in value:
        value, found = _IN_QUERY.subn(lambda match: match["name"][0], value)
        if found:  # the question mark or ampersand that was before it
            value = re.sub(r"[?&]+(?=$|#)|(?<=[?&])&+", "", value)
        return _USERINFO.sub(r"\g<scheme>", value)
    if isinstance(value, Mapping):
        return {key: without_url_secrets(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(without_url_secrets, value))
    return value


def full_value(function: BaseModel, field: str) -> Any:
    """Return a setting with the passwords and keys that its URLs were given with.

    The field itself, and so everything that shows the settings, is without them.
    """
    kept = getattr(function, "__pydantic_private__", None) or {}
    return kept.get("_with_url_secrets", {}).get(field, getattr(function, field, None))


def _url_secrets(value: Any) -> list[str]:
    if isinstance(value, str):
        found = [part for match in _USERINFO.finditer(value) for part in _userinfo(match)]
        return found + [match["value"] for match in _IN_QUERY.finditer(value) if "://" in value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [part for each in value for part in _url_secrets(each)] if _is_list(value) else []


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def references_only(value: Any) -> Any:
    """Return the ``$var:`` references of a secret field as plain JSON, or ``None``.

    Everything that is not a reference is left out, so the result never holds a secret.
    """
    if isinstance(value, Mapping):
        kept = {key: references_only(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None} or None
    text = _plain(value) if isinstance(value, (str, *_SECRET_TYPES)) else None
    return text if text is not None and text.startswith(PREFIX) else None


def _plain(value: Any) -> str | None:
    if isinstance(value, _SECRET_TYPES):
        value = value.get_secret_value()
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return None if value is None else str(value)


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a secret field, references followed where they have a value."""
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        text = _plain(value) or ""
        reference = parse_reference(text)
        yield text if reference is None else _lookup_or_none(reference) or ""


def _lookup_or_none(reference: Reference) -> str | None:
    try:
        return lookup(reference)
    except VariableNotFoundError:
        return None


def _userinfo(match: re.Match[str]) -> list[str]:
    _, colon, password = match["user"].partition(":")
    return [password if colon else match["user"]]


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe="", errors="replace"), json.dumps(secret)[1:-1]}


def _missing(
    function: BaseModel, field: str, env: tuple[str, ...], variable: str | None
) -> MissingCredentialError:
    provider = provider_name(type(function))
    name = variable or (env[0] if env else field.partition("[")[0].upper())
    cause = f" (variable {variable!r} has no value)" if variable else ""
    ways = [
        f"pass {field}=... to create()",
        f'pass {field}="{PREFIX}{name}" and call get_registry().set_var("{name}", ...)',
    ]
    names = tuple(dict.fromkeys((variable, *env) if variable else env))
    if names:
        ways.append(f"set the environment variable {' or '.join(names)}")
    return MissingCredentialError(
        f"Provider {provider!r} needs {field}{cause}: {', '.join(ways[:-1])}, or {ways[-1]}."
        if len(ways) > 2
        else f"Provider {provider!r} needs {field}{cause}: {' or '.join(ways)}."
    )
