"""Whether what a change was planned on still holds."""

from __future__ import annotations

from typing import Any

import lance

from embow.engines.contract import Base, Change
from embow.errors import CommitConflictError, VersionNotFoundError
from embow_lance.fields import OWN, Shape
from embow_lance.history import History, last_restored
from embow_lance.store import Store


def check(store: Store, dataset: lance.LanceDataset, history: History, change: Change) -> None:
    """Refuse a change whose base no longer holds.

    Raises:
        CommitConflictError: Schema or metadata changed; or, with ``alone``, anything that matters.
    """
    base = change.base.version
    if change.columns:  # Rows written with them were numbered by the schema as it was then.
        for staged in change.add:
            require_same_shape(store, dataset, staged.base)
    if base == dataset.version:
        return
    require_same_shape(store, dataset, change.base)
    if not change.alone:
        return
    since = history.since(dataset, base)
    if change.shapes or not all(entry is not None and entry.plain for entry in since):
        raise CommitConflictError(
            f"Table '{store.name}' was changed since version {base}. Plan it again on the current "
            f"version, {dataset.version}."
        )


def require_same_shape(store: Store, dataset: lance.LanceDataset, base: Base) -> None:
    """Raise `CommitConflictError` where schema or metadata are not as they were at a base."""
    then = based(store, dataset, base)
    if then is not dataset and _parts(then.lance_schema) != _parts(dataset.lance_schema):
        raise _reshaped(store, dataset, base)


def based(store: Store, dataset: lance.LanceDataset, base: Base) -> lance.LanceDataset:
    """Return the version of a base or, where it is gone, a later one of the same shape.

    Raises:
        CommitConflictError: There is none.
    """
    try:
        return store.at(dataset, base.version)
    except VersionNotFoundError as exc:
        shaped = Shape.of(dataset.lance_schema).own().get("shaped", dataset.version)
        if max(shaped, last_restored(store)) > base.version:
            raise _reshaped(store, dataset, base) from exc
        return dataset


def _reshaped(store: Store, dataset: lance.LanceDataset, base: Base) -> CommitConflictError:
    return CommitConflictError(
        f"Schema or metadata of table '{store.name}' changed since version {base.version}. "
        f"Plan it again on the current version, {dataset.version}."
    )


def _parts(schema: Any) -> tuple[Any, Any]:
    shape = Shape.of(schema)
    return {k: v for k, v in shape.metadata.items() if k != OWN}, shape.fields
