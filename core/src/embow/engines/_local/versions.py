"""Earlier versions: listing, naming, and going back to one without copying data."""

from __future__ import annotations

from dataclasses import replace

from embow.engines._local.commits import NO_ROWS
from embow.engines._local.leases import moment
from embow.engines._local.records import (
    Deletion,
    deletion_rows,
    insert_deletion,
    insert_schema,
    insert_version,
    layout_at,
    tag_rows,
    version_rows,
)
from embow.engines._local.sealed import insert, require_rows
from embow.engines._local.store import Store
from embow.engines.contract import Commit, Version, check_tag


def versions(store: Store) -> list[Version]:
    """Return the versions that can be read, the oldest first."""
    with store.catalog.read() as db:
        require_rows(db, "versions")  # One that is missing here is missed by nobody.
        found = version_rows(db, store.current(db).id)
    return [Version(each.version, moment(each.made), each.rows, each.operation) for each in found]


def tags(store: Store) -> dict[str, int]:
    with store.catalog.read() as db:
        return tag_rows(db, store.current(db).id)


def set_tag(store: Store, name: str, version: int, *, move: bool) -> None:
    """Name a version, which is then kept; with ``move`` an existing tag is moved."""
    with store.catalog.write() as db:
        row = store.current(db)
        check_tag(store.name, name, tag_rows(db, row.id), new=not move)
        found = store.find_version(db, version)
        insert(db, "tags", row.id, name, found.version, verb="REPLACE")


def delete_tag(store: Store, name: str) -> None:
    with store.catalog.write() as db:
        row = store.current(db)
        check_tag(store.name, name, tag_rows(db, row.id), new=False)
        db.execute("DELETE FROM tags WHERE table_id = ? AND name = ?", (row.id, name))


def restore(store: Store, version: int | str) -> Commit:
    """Make a new version equal to an earlier one.

    Rows only ever get larger ids, so an earlier version is given by its deletions: later ones are
    taken back, those taken back since hold again, and rows added since are deleted.
    """
    with store.catalog.write() as db:
        before, target = store.current(db), store.find_version(db, version)
        after = before.version + 1
        row = replace(
            before,
            version=after,
            schema_version=after,
            epoch=before.epoch + 1,
            rows=target.rows,
        )
        for each in deletion_rows(db, row.id):
            if each.version <= target.version and each.until and each.until > target.version:
                insert_deletion(db, row, replace(each, id=0, version=after, until=None))
            elif target.version < each.version and each.until is None:
                insert_deletion(db, row, replace(each, until=after))
        if target.next_row < row.next_row:
            insert_deletion(db, row, Deletion(after, NO_ROWS, (target.next_row, row.next_row)))
        insert_schema(db, row.id, after, layout_at(db, row.id, target.schema_version))
        insert_version(db, row, "restore")
    return Commit(after)
