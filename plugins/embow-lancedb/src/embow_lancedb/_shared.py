"""What both faces of a table hand on as it is.

embow's synchronous and asynchronous tables have the same calls, so each is written once: of the
synchronous face it returns the result, of the other what is awaited.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa

from embow.engines.contract import check_columns
from embow.errors import ConfigurationError
from embow.expr import Condition
from embow_lancedb._arguments import no_values, refused

_FILES = "there are no Lance files behind a table; read it with to_arrow() or to_batches()."
_BLOBS = "there are no blob columns; bytes are values like others, to be read with select([...])."
_LOG = "rows are part of the table from the moment they are committed; there is no log to tend."
_SERVICE = "there is no service that runs jobs; what is added is embedded by the process that adds."


class SharedTable:
    """Calls that mean the same in LanceDB and in embow.

    Attributes:
        core: embow's table.
    """

    core: Any

    @property
    def name(self) -> str:
        """Name of the table."""
        return str(self.core.name)

    @property
    def tags(self) -> Any:
        """Names of versions: ``list``, ``get_version``, ``create``, ``update``, ``delete``."""
        return self.core.tags

    # -- reading ------------------------------------------------------------------------------

    def count_rows(self, filter: Condition | None = None) -> Any:
        """Count the rows, all or those that satisfy a condition."""
        return self.core.count_rows(filter)

    def head(self, n: int = 5) -> Any:
        """Return the first rows as an Arrow table."""
        return self.core.head(n)

    def to_arrow(self) -> Any:
        """Return all rows as an Arrow table."""
        return self.core.to_arrow()

    def to_pandas(self, blob_mode: str = "lazy", **kwargs: Any) -> Any:
        """Return all rows as a pandas DataFrame."""
        return self.core.to_pandas(**kwargs)

    # -- versions -----------------------------------------------------------------------------

    def list_versions(self) -> Any:
        """Return the versions as dicts: ``version``, ``timestamp``, ``metadata``."""
        return self.core.list_versions()

    def checkout(self, version: int | str) -> Any:
        """Read an earlier version, by number or tag; writing is refused meanwhile."""
        return self.core.checkout(version)

    def checkout_latest(self) -> Any:
        """Read and write the latest version again."""
        return self.core.checkout_latest()

    def restore(self, version: int | str | None = None) -> Any:
        """Make an earlier version the latest one."""
        return self.core.restore(version)

    def current_branch(self) -> None:
        """Return ``None``: there is one line of versions."""

    # -- changing -----------------------------------------------------------------------------

    def delete(self, where: Condition) -> Any:
        """Remove the rows that satisfy a condition."""
        return self.core.delete(where)

    def add_columns(
        self,
        transforms: Mapping[str, Any] | pa.Field | Iterable[pa.Field] | pa.Schema | None = None,
        *,
        computed: Any = None,
    ) -> Any:
        """Add columns: ``{"name": "SQL expression"}``, or fields that are null in every row."""
        no_values("add_columns", _SERVICE, computed=computed)
        if transforms is None:
            raise ConfigurationError('add_columns needs columns: add_columns({"b": "a + 1"}).')
        return self.core.add_columns(transforms)

    def alter_columns(self, *alterations: Any) -> Any:
        """Change columns: dicts with ``path``, and ``rename``, ``nullable``, ``data_type``."""
        alterations = alterations[0] if _is_list(alterations) else alterations
        return self.core.alter_columns(*alterations)

    def drop_columns(self, columns: Iterable[str]) -> Any:
        """Take columns away."""
        return self.core.drop_columns(list(columns))

    def set_unenforced_primary_key(self, columns: str | Iterable[str]) -> Any:
        """Mark columns as a key that is not enforced. ``core.set_primary_key`` enforces one."""
        names = [columns] if isinstance(columns, str) else list(columns)
        mark = {"lance-schema:unenforced-primary-key": "true"}
        return self.update_field_metadata(*({"path": name, "metadata": mark} for name in names))

    def update_field_metadata(self, *updates: Mapping[str, Any]) -> Any:
        """Change the metadata of columns.

        Args:
            *updates: Dicts with the column as ``path``, and ``metadata``, in which ``None`` removes
                an entry. The other entries stay, unless ``replace`` is true.
        """
        raise NotImplementedError

    def replace_field_metadata(self, field_name: str, new_metadata: Mapping[str, str]) -> Any:
        """Replace the metadata of a column."""
        return self.core.alter_columns({"path": field_name, "metadata": dict(new_metadata)})

    def optimize(
        self,
        *,
        cleanup_older_than: timedelta | None = None,
        delete_unverified: bool = False,
        retrain: bool = False,
    ) -> Any:
        """Merge small pieces, and drop what no kept version needs.

        Args:
            cleanup_older_than: Keep versions younger than this; seven days where it is ``None``.
            delete_unverified: Also remove what others are just writing.
            retrain: Has no meaning.
        """
        return self.core.optimize(cleanup_older_than, delete_unverified)

    # -- what there is not --------------------------------------------------------------------

    stats = refused(
        "stats",
        "count_rows(), list_indices() and list_versions() tell it; check() reads all files.",
    )
    to_lance = refused("to_lance", _FILES)
    blob_columns = refused("blob_columns", _BLOBS)
    fetch_blobs = refused("fetch_blobs", _BLOBS)
    fetch_blob_files = refused("fetch_blob_files", _BLOBS)
    fetch_blob_ranges = refused("fetch_blob_ranges", _BLOBS)
    checkpoint_lsm = refused("checkpoint_lsm", _LOG)
    close_lsm_writers = refused("close_lsm_writers", _LOG)
    compact_lsm = refused("compact_lsm", _LOG)
    flush_lsm = refused("flush_lsm", _LOG)
    get_lsm_stats = refused("get_lsm_stats", _LOG)
    get_lsm_write_spec = refused("get_lsm_write_spec", _LOG)
    set_lsm_write_spec = refused("set_lsm_write_spec", _LOG)
    unset_lsm_write_spec = refused("unset_lsm_write_spec", _LOG)
    refresh_column = refused("refresh_column", _SERVICE)
    refresh_column_async = refused("refresh_column_async", _SERVICE)
    function_errors = refused("function_errors", _SERVICE)

    @property
    def branches(self) -> Any:
        """Refuse: there is one line of versions."""
        return refused("branches", "a table has one line of versions; name them with tags.")()


def merged_metadata(schema: pa.Schema, updates: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return the alterations of columns that updates of their metadata ask for."""
    alterations = []
    for update in updates:
        path = update["path"]
        check_columns(schema, [path])
        had = {} if update.get("replace") else schema.field(path).metadata or {}
        new = {name.decode(): value.decode() for name, value in had.items()} | update["metadata"]
        kept = {name: value for name, value in new.items() if value is not None}
        alterations.append({"path": path, "metadata": kept})
    return alterations


def _is_list(alterations: Sequence[Any]) -> bool:
    return len(alterations) == 1 and isinstance(alterations[0], (list, tuple))
