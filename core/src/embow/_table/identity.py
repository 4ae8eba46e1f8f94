"""Whether a function is the one that wrote a column, field by field.

Called wherever a stored column meets a function: opening with a schema, adding, searching.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embow.embeddings import Binding, EmbeddingFunction
from embow.errors import IdentityMismatchError

_DIGEST = "sha256:"
"""Begins the name of a model that is known by its content."""


def require_writer(binding: Binding, function: EmbeddingFunction) -> None:
    """Refuse a function that does not make the vectors of a stored binding.

    Raises:
        IdentityMismatchError: A variable or another version of the provider changes the vectors.
    """
    if binding.fingerprint is not None and function.fingerprint() != binding.fingerprint:
        changed = _changes(binding.identity or {}, function.identity())
        raise IdentityMismatchError(
            f"Column {binding.vector_column!r} was written by "
            f"{describe(binding.identity or {}, binding.settings)}; here the same settings give "
            f"{describe(function.identity(), vars(function))}. Different: {changed}. "
            "Restore the variable or provider version that differs, or re-embed the column with "
            f"table.migrate({binding.vector_column!r}, function)."
        )


def require_same_identity(stored: Binding, declared: Binding) -> None:
    """Refuse a declared binding that would fill a stored column with other vectors.

    Raises:
        IdentityMismatchError: The message names both models and every field that differs.
    """
    same = stored.fingerprint is None or stored.fingerprint == declared.fingerprint
    if same and stored.source_column == declared.source_column:
        return
    if same:
        raise IdentityMismatchError(
            f"Column {stored.vector_column!r} is embedded from {stored.source_column!r}; the "
            f"schema given embeds it from {declared.source_column!r}."
        )
    mine, other = stored.identity or {}, declared.identity or {}
    raise IdentityMismatchError(
        f"Column {stored.vector_column!r} was written by {describe(mine, stored.settings)}; the "
        f"schema given embeds it with {describe(other, declared.settings)}. Different: "
        f"{_changes(mine, other)}. "
        "Use table.migrate(...) or open without a schema."
    )


def describe(identity: Mapping[str, Any], settings: Mapping[str, Any] | None = None) -> str:
    """Return ``provider/model`` for messages; settings say where a model lies on this machine."""
    provider = identity.get("provider", "an unknown provider")
    model = identity.get("name") or identity.get("model") or identity.get("model_name")
    if not str(model).startswith(_DIGEST):
        return f"{provider}/{model}" if model else str(provider)
    folder = (settings or {}).get("name")
    where = f" in {folder!r}" if folder else ""
    return f"{provider} with the model{where} ({_short(model)})"


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    names = [*before, *(name for name in after if name not in before)]
    return "; ".join(
        _change(name, before, after) for name in names if before.get(name) != after.get(name)
    )


def _change(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    old, new = before.get(name), after.get(name)
    if name == "files" and isinstance(old, Mapping) and isinstance(new, Mapping):
        return f"files {', '.join(sorted(f for f in {*old, *new} if old.get(f) != new.get(f)))}"
    return f"{name} was {_value(before, name)}, is {_value(after, name)}"


def _value(identity: Mapping[str, Any], name: str) -> str:
    return f"{_short(identity[name])!r:.80}" if name in identity else "not set"


def _short(value: Any) -> Any:
    """Return enough of a digest to tell two apart; other values as they are."""
    return value[: len(_DIGEST) + 12] if str(value).startswith(_DIGEST) else value
