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

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import lance
import numpy as np
import pyarrow as pa
from lance.fragment import FragmentMetadata

from embow.engines.contract import Change, Commit, RowIds, Staged
from embow.errors import CommitConflictError, VersionNotFoundError
from embow_lance.failures import storing
from embow_lance.fields import Shape
from embow_lance.history import ADD, properties
from embow_lance.reading import addresses
from embow_lance.shaping import numbered, shaping, with_new
from embow_lance.staging import fitted, require_present, unseal
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


def apply(store: Store, dataset: lance.LanceDataset, change: Change) -> Commit:
    """Commit a change on the version given, which has been checked.

    Raises:
        CommitConflictError: Rows to be removed are gone, or another writer was faster.
        StagedGoneError: Staged files are gone.
    """
    written = [(each, unseal(each)) for each in change.add]
    for staged, each in written:
        require_present(store, staged, each)
    shape = with_new(store, Shape.of(dataset.lance_schema), change.columns)
    schema = pa.schema([*dataset.schema, *change.columns])
    new = [
        fragment
        for staged, each in written
        if staged.column is None
        for fragment in fitted(each, schema, shape)
    ]
    removed = np.unique(np.asarray(() if change.remove is None else change.remove, np.int64))
    columns = [each for staged, each in written if staged.column is not None]
    if change.shapes:
        operation = shaping(store, dataset, shape, change.metadata, columns, new)
    else:
        operation = _rows(store, dataset, change, removed, new)
    return commit(store, dataset, operation, _deed(change), change.add, len(removed))


def _deed(change: Change) -> str:
    plain = change.remove is None and not change.shapes and not change.alone
    return ADD if plain else "change"


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
        return lance.LanceOperation.Merge(numbered(new, []), dataset.lance_schema)
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
