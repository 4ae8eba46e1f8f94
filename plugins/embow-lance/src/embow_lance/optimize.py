"""Merging small fragments, and removing what no kept version needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import lance

from embow.engines.contract import OptimizeReport
from embow.errors import CommitConflictError
from embow_lance.failures import storing
from embow_lance.history import History
from embow_lance.store import Store

_TRIES = 3
_NEVER = timedelta(days=36_500)


def optimize(
    store: Store,
    history: History,
    dataset: lance.LanceDataset,
    keep: timedelta,
    *,
    delete_unverified: bool,
) -> OptimizeReport:
    """Do both. Versions that snapshots of this process hold are kept."""
    before = dataset.stats.dataset_stats()
    _compact(store, dataset)
    dataset = store.latest()
    after = dataset.stats.dataset_stats()
    with storing(f"clean up table '{store.name}'"):
        old = _old(store, dataset, keep)
        history.keep(dataset, old)
        cleaned = dataset.cleanup_old_versions(
            versions=old or None,
            older_than=None if old else _NEVER,  # Lance wants one of the two.
            delete_unverified=delete_unverified,
            error_if_tagged_old_versions=False,
        )
        oldest = min(each["version"] for each in dataset.versions())
    return OptimizeReport(
        fragments_before=before["num_fragments"],
        fragments_after=after["num_fragments"],
        rows_dropped=max(0, before["num_deleted_rows"] - after["num_deleted_rows"]),
        files_removed=cleaned.data_files_removed
        + cleaned.deletion_files_removed
        + cleaned.index_files_removed,
        bytes_freed=cleaned.bytes_removed,
        versions_removed=cleaned.old_versions,
        oldest_version=oldest,
    )


def _compact(store: Store, dataset: lance.LanceDataset) -> None:
    """Merge fragments; where writers are faster again and again, leave it to the next time."""
    for _ in range(_TRIES):
        try:
            with storing(f"compact table '{store.name}'"):
                dataset.optimize.compact_files()
                return
        except CommitConflictError:
            dataset = store.latest()


def _old(store: Store, dataset: lance.LanceDataset, keep: timedelta) -> list[int]:
    limit = datetime.now(UTC) - keep
    kept = {dataset.version, *(tag["version"] for tag in dataset.tags.list().values())}
    kept |= store.held()
    return [
        each["version"]
        for each in dataset.versions()
        if each["timestamp"].astimezone(UTC) <= limit and each["version"] not in kept
    ]
