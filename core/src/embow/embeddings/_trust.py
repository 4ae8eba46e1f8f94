"""What a table asks for that only this process may allow, and how it is allowed.

A table's metadata are data, maybe a stranger's. Settings that decide where data and keys go, what
is read or what code runs (those marked ``external``), and ``$var:`` references, are taken from it
only where this process said so: by ``trust=``, by having made the same function itself, or by a
signature that an earlier process of the same user left in the table.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from embow.embeddings import _signing as signing
from embow.embeddings._config import accepted_names, external_marks
from embow.embeddings._secrets import MASK, scrub, secret_fields
from embow.errors import ConfigurationError, SchemaError, UntrustedError
from embow.plugins import _discovery as discovery
from embow.variables import PREFIX

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

SIGNATURE_KEY = "embow.signature"
"""Where a table's metadata hold its signature."""

OWNER_KEY = "embow.owner"
"""Where a table's metadata say that this user made it."""

_DEEPEST = 32
"""Levels of nesting in a setting; more is nothing a person wrote."""
_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Request:
    """One thing the settings of a binding ask for.

    Attributes:
        setting: Argument, with the way to the value inside it: ``default_headers["X-Team"]``.
        value: What it is set to: text as it is, everything else as JSON.
        secret: Whether the value must not be shown.
    """

    setting: str
    value: str = field(repr=False)
    secret: bool = False

    def __str__(self) -> str:
        """Return ``setting=value`` on one line, secrets masked, of bounded length."""
        shown = MASK if self.secret else scrub(self.value, ())
        return f"{self.setting}={_bounded(json.dumps(shown))}"


@dataclass(frozen=True, slots=True)
class Trust:
    """What this process allows the tables of one connection to ask for.

    Attributes:
        everything: Whether all of it.
        allowed: Values a table may ask for: an address or a folder, alone or as the beginning of
            a longer one that goes on after a ``/``; a reference, ``"$var:NAME"``, in whole; or
            ``"setting=value"`` for what is no text, such as ``"trust_remote_code=true"``.
    """

    everything: bool = False
    allowed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, given: bool | Collection[str] | Trust) -> Self | Trust:
        """Return what ``trust=`` of ``connect`` stands for.

        Raises:
            ConfigurationError: It is neither a bool nor a collection of texts that say something.
        """
        if isinstance(given, Trust):
            return given
        if isinstance(given, bool):
            return cls(everything=given)
        entries = (given,) if isinstance(given, str) else given
        if not isinstance(entries, Collection) or not all(
            isinstance(entry, str) and entry.strip() for entry in entries
        ):
            raise ConfigurationError(
                "trust must be True, False, or a list of the values a table may ask for, such as "
                f'["http://localhost:8080/v1", "$var:MY_KEY"], not {given!r}.'
            )
        return cls(allowed=frozenset(entries))

    def allows(self, request: Request) -> bool:
        """Tell whether one request is allowed."""
        return self.everything or any(_covers(entry, request) for entry in self.allowed)

    def require(self, requests: Collection[Request], provider: str, column: str) -> None:
        """Refuse requests that are not allowed.

        Raises:
            UntrustedError: There are some; the message names them and the ways to allow them.
        """
        refused = [request for request in requests if not self.allows(request)]
        if not refused:
            return
        values = list(dict.fromkeys(_as_entry(request) for request in refused))
        raise UntrustedError(
            f"The settings of provider {provider!r} for column {column!r} come from the table and "
            "decide where data and keys go, what is read or what code runs, which this program "
            f"did not allow: {', '.join(map(str, refused))}. If the table is from someone you "
            f"trust, allow it: connect(uri, trust=[{', '.join(values)}]), or connect(uri, "
            "trust=True) for all its tables ask for, or create the same function in this program "
            "before. Scanning, and searching by vector, work without."
        )


_refusal: ContextVar[str | None] = ContextVar("embow_files_refused", default=None)


@contextmanager
def files_refused(why: str) -> Iterator[None]:
    """Have no local file be read in this context that a row names, but as the process allows."""
    token = _refusal.set(why)
    try:
        yield
    finally:
        _refusal.reset(token)


def why_files_are_refused() -> str | None:
    """Return why no local file is to be read in this context, ``None`` where any may be."""
    return _refusal.get()


def owner_mark() -> str | None:
    """Return the mark of a new table of this user's, ``None`` where no key can be kept."""
    table = uuid4().hex
    code = signing.code(b"table:" + table.encode(), create=True)
    return None if code is None else f"{table}:{code}"


def is_own(mark: str | None) -> bool:
    """Tell whether this user made the table that has a mark."""
    table, _, code = (mark or "").partition(":")
    return signing.is_one_of(b"table:" + table.encode(errors="replace"), [code])


def requests_of(cls: type[BaseModel], settings: Mapping[str, Any]) -> tuple[Request, ...]:
    """Return what settings kept in a table ask for, read without following or loading anything.

    That is each field marked ``external`` (or ``local_path``) that is set to what its mark means;
    each ``$var:`` reference, but for a secret field that names a credential of the provider; and
    each secret written out, which no honest table holds.

    Raises:
        SchemaError: Settings are nested deeper than anything a person wrote.
    """
    accepted, secret, marked = accepted_names(cls), secret_fields(cls), external_marks(cls)
    found: list[Request] = []
    for argument, value in settings.items():
        name = accepted.get(argument, argument)
        for mark in () if name in secret else marked.get(name, ()):
            if mark.asks(value, _default(cls.model_fields[name])):
                found.append(Request(argument, _text(value)))
        nested = isinstance(value, (Mapping, list, tuple))
        for where, leaf in _leaves(argument, value) if nested else ((argument, value),):
            if isinstance(leaf, str) and leaf.startswith(PREFIX):
                own = leaf.removeprefix(PREFIX) in credentials_of(cls)
                if name not in secret or name in marked or not own:
                    hidden = name in secret and leaf.count(":") > 1  # the default may be a key
                    found.append(Request(where, leaf, hidden))
            elif name in secret and leaf is not None:
                found.append(Request(where, _text(leaf), secret=True))
    return tuple(dict.fromkeys(found))


def credentials_of(cls: type[BaseModel]) -> tuple[str, ...]:
    """Return the variables a provider declares as its keys, none for a class of one's own."""
    provider = vars(cls).get("provider_id")
    return discovery.credentials_of(provider) if isinstance(provider, str) else ()


def _default(info: FieldInfo) -> Any:
    return info.get_default(call_default_factory=True, validated_data={})


def _leaves(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each plain value of a setting with the way to it.

    Raises:
        SchemaError: It is nested too deep.
    """
    waiting = [(where, value, 0)]
    while waiting:
        where, value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise SchemaError("The table's embedding metadata is damaged: settings nest too deep.")
        if isinstance(value, Mapping):
            inside = [(f"{where}[{json.dumps(str(k))}]", v, depth + 1) for k, v in value.items()]
            waiting.extend(reversed(inside))
        elif isinstance(value, (list, tuple)):
            inside = [(f"{where}[{at}]", v, depth + 1) for at, v in enumerate(value)]
            waiting.extend(reversed(inside))
        else:
            yield where, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=repr)


def _covers(entry: str, request: Request) -> bool:
    if entry in (request.value, f"{request.setting}={request.value}"):
        return True
    if request.value.startswith(PREFIX) or ".." in request.value.replace("\\", "/").split("/"):
        return False
    return request.value.startswith(entry.rstrip("/") + "/")


def _as_entry(request: Request) -> str:
    """Return what to write into ``trust=[...]`` for a request, as Python text."""
    if request.secret:
        return f'"{request.setting}=..."'
    value = scrub(request.value, ())
    try:
        json.loads(value)
    except ValueError:
        return _bounded(ascii(value))
    return _bounded(ascii(f"{request.setting}={value}"))


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "..."
