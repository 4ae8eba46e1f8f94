"""From a change to one Lance transaction.

Which transactions collide in Lance decides which is used. ``Append`` collides with no other
addition, so that one staged write could go in twice; ``Update`` collides with what names the same
fragment; ``Merge`` collides with all.

* Metadata and columns go in by ``Merge``: every stale addition and removal then collides with it.
* Rows go in and out by ``Update``. For each staged write it names a fragment that follows from the
  write's token: whoever commits the same write at the same time names the same one.
* Rows committed ``alone``, or where no such fragment is left, name every fragment.
* Where there is no fragment to name, rows go in by ``Merge`` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from lance.fragment import FragmentMetadata

from embow.engines.contract import Base, Change, Commit, RowIds, Staged
from embow.errors import CommitConflictError, VersionNotFoundError
from embow_lance.columns import with_column
from embow_lance.failures import storing
from embow_lance.fields import OWN, Shape
from embow_lance.history import ADD, History, last_restored, properties
from embow_lance.reading import addresses
from embow_lance.staging import Written, as_field, fitted, require_present, unseal
from embow_lance.store import Store

_OFFSET_BITS = 32
_RETRIES = 20
_TIMEOUT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Pieces:
    """The fragments of a table, some of them with rows removed.

    Attributes:
        kept: Fragments that stay, those that changed included.
        changed: Those with rows removed.
        emptied: Numbers of fragments that go.
    """

    kept: list[FragmentMetadata]
    changed: list[FragmentMetadata]
    emptied: list[int]


def check(store: Store, dataset: lance.LanceDataset, history: History, change: Change) -> None:
    """Refuse a change whose base no longer holds.

    Raises:
        CommitConflictError: Schema or metadata changed; or, with ``alone``, anything that matters.
    """
    base = change.base.version
    if base == dataset.version:
        return
    require_same_shape(store, dataset, change.base)
    if not change.alone:
        return
    shaping = change.metadata is not None or any(each.column for each in change.add)
    since = history.since(dataset, base)
    if shaping or not all(entry is not None and entry.plain for entry in since):
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


def apply(store: Store, dataset: lance.LanceDataset, change: Change) -> Commit:
    """Commit a change on the version given, which has been checked.

    Raises:
        CommitConflictError: Rows to be removed are gone, or another writer was faster.
        StagedGoneError: Staged files are gone.
    """
    written = [(each, unseal(each)) for each in change.add]
    for staged, each in written:
        require_present(store, staged, each)
    shape = Shape.of(dataset.lance_schema)
    new = [
        fragment
        for staged, each in written
        if staged.column is None
        for fragment in fitted(each, dataset.schema, shape)
    ]
    removed = np.unique(np.asarray(() if change.remove is None else change.remove, np.int64))
    columns = [each for staged, each in written if staged.column is not None]
    if columns or change.metadata is not None:
        operation = _shaping(store, dataset, change, columns, new)
    else:
        operation = _rows(store, dataset, change, removed, new)
    return commit(store, dataset, operation, _deed(change), change.add, len(removed))


def _deed(change: Change) -> str:
    plain = change.remove is None and change.metadata is None and not change.alone
    return ADD if plain and not any(each.column for each in change.add) else "change"


def commit(
    store: Store,
    dataset: lance.LanceDataset,
    operation: lance.LanceOperation.BaseOperation,
    deed: str,
    staged: Sequence[Staged] = (),
    removed: int = 0,
) -> Commit:
    """Commit one operation, durably."""
    kept = properties(deed, staged, removed)
    transaction = lance.Transaction(dataset.version, operation, transaction_properties=kept)
    with storing(f"commit to table '{store.name}'"):
        made = lance.LanceDataset.commit(
            dataset,
            transaction,
            storage_options=dict(store.options),
            commit_timeout=_TIMEOUT,
            # Only what replaces everything would otherwise be moved behind the commits of others.
            max_retries=0 if isinstance(operation, lance.LanceOperation.Overwrite) else _RETRIES,
        )
    store.sync_version(made.version)
    added = sum(each.rows for each in staged if each.column is None)
    return Commit(made.version, added, removed)


def _rows(
    store: Store,
    dataset: lance.LanceDataset,
    change: Change,
    removed: RowIds,
    new: list[FragmentMetadata],
) -> lance.LanceOperation.BaseOperation:
    pieces = _without(store, dataset, removed)
    anchors = {_anchor(store, dataset, each) for each in change.add}
    named = anchors | {each.id for each in pieces.changed}
    if change.alone or None in anchors:
        named = {each.id for each in pieces.kept}
    if not named and not pieces.emptied:
        return lance.LanceOperation.Merge(_numbered(new, []), dataset.lance_schema)
    return lance.LanceOperation.Update(
        updated_fragments=[each for each in pieces.kept if each.id in named],
        removed_fragment_ids=pieces.emptied,
        new_fragments=new,
    )


def _anchor(store: Store, dataset: lance.LanceDataset, staged: Staged) -> int | None:
    """Return the fragment that commits of one staged write name.

    It is one that was there when the write was made: all who commit it know those. Where it has
    gone since, the next is taken; who still names the first collides with what removed it.
    """
    try:
        base = store.at(dataset, staged.base.version)
    except VersionNotFoundError:
        return None
    there = {fragment.fragment_id for fragment in dataset.get_fragments()}
    known = [fragment.fragment_id for fragment in base.get_fragments()]
    start = int(staged.token, 16) % max(1, len(known))
    return next((each for each in known[start:] + known[:start] if each in there), None)


def _without(store: Store, dataset: lance.LanceDataset, removed: RowIds) -> Pieces:
    """Return the fragments without some rows.

    Raises:
        CommitConflictError: One of the rows is not there.
    """
    fragments = dataset.get_fragments()
    with storing(f"look for rows of table '{store.name}'"):
        ids, places = addresses(dataset, fragments, removed)
    if len(ids) != len(removed):
        raise CommitConflictError(
            f"{len(removed) - len(ids)} rows of table '{store.name}' that were to be removed are "
            "gone: another writer changed or removed them. Plan it again on the current version."
        )
    pieces = Pieces([], [], [])
    owners = places >> _OFFSET_BITS
    for fragment in fragments:
        offsets = places[owners == fragment.fragment_id] & (2**_OFFSET_BITS - 1)
        if not len(offsets):
            pieces.kept.append(fragment.metadata)
            continue
        with storing(f"remove rows of table '{store.name}'"):
            left = fragment.delete_rows(offsets.tolist())
        if left is None:
            pieces.emptied.append(fragment.fragment_id)
        else:
            pieces.kept.append(left)
            pieces.changed.append(left)
    store.sync(each.deletion_file.path(each.id) for each in pieces.changed)
    return pieces


def _shaping(
    store: Store,
    dataset: lance.LanceDataset,
    change: Change,
    columns: Sequence[Written],
    new: list[FragmentMetadata],
) -> lance.LanceOperation.BaseOperation:
    """Return a transaction that collides with all others, with columns and metadata."""
    shape = Shape.of(dataset.lance_schema)
    if change.metadata is not None:
        merged = {**shape.metadata, **change.metadata}
        shape = replace(shape, metadata={k: v for k, v in merged.items() if v is not None})
    fragments = [fragment.metadata for fragment in dataset.get_fragments()]
    for written in columns:
        shape, fragments = _joined(store, dataset, shape, fragments, written)
    shape = shape.noted(shaped=dataset.version + 1)
    return lance.LanceOperation.Merge([*fragments, *_numbered(new, fragments)], shape.schema())


def _joined(
    store: Store,
    dataset: lance.LanceDataset,
    shape: Shape,
    fragments: list[FragmentMetadata],
    written: Written,
) -> tuple[Shape, list[FragmentMetadata]]:
    field = as_field(written.field)
    if field.name in shape.fields:
        raise CommitConflictError(
            f"Table '{store.name}' has a column '{field.name}' already: another writer added it."
        )
    fresh = Shape.new(pa.schema([field]), shape.next_number())
    files = with_column(store, dataset, written, fresh.numbers[field.name])
    for fragment in fragments:
        if fragment.id in files:
            fragment.files.extend(files[fragment.id].files)
    return shape.joined(fresh), fragments


def _numbered(
    new: list[FragmentMetadata], fragments: Sequence[FragmentMetadata]
) -> list[FragmentMetadata]:
    """Return new fragments with numbers, which in a ``Merge`` Lance does not give."""
    first = max((each.id for each in fragments), default=-1) + 1
    for number, fragment in enumerate(new, first):
        fragment.id = number
    return new


def without_columns(
    dataset: lance.LanceDataset, names: Sequence[str]
) -> lance.LanceOperation.BaseOperation:
    """Return a transaction that drops columns."""
    shape = Shape.of(dataset.lance_schema)
    noted = shape.noted(next=shape.next_number(), shaped=dataset.version + 1)
    kept = noted.only([name for name in shape.fields if name not in names])
    fragments = [fragment.metadata for fragment in dataset.get_fragments()]
    return lance.LanceOperation.Merge(fragments, kept.schema())


def replacing(
    dataset: lance.LanceDataset,
    schema: pa.Schema,
    staged: Sequence[Staged],
    metadata: Mapping[str, str],
) -> lance.LanceOperation.BaseOperation:
    """Return a transaction that puts schema, metadata and rows in the place of all there is.

    Columns that stay keep their numbers; others get new ones, so that rows staged before for
    another schema are not read under this one.
    """
    shape, wanted = Shape.of(dataset.lance_schema), schema.remove_metadata()
    there = {field.name: field for field in dataset.schema}
    kept = [field.name for field in wanted if field.name in there and field == there[field.name]]
    rest = pa.schema([field for field in wanted if field.name not in kept])
    new = Shape.new(rest, shape.next_number())
    made = shape.only(kept).joined(new).only(wanted.names)
    made = replace(made, metadata={**metadata, OWN: shape.metadata.get(OWN, "{}")})
    made = made.noted(next=max(shape.next_number(), new.next_number()), shaped=dataset.version + 1)
    fragments = [
        fragment
        for each in staged
        for fragment in fitted(unseal(each), wanted, made, overwriting=True)
    ]
    return lance.LanceOperation.Overwrite(made.schema(), fragments)
