"""Indexes of a table, by the names that users give columns and the fields within them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.paths import path_of
from embow.engines.contract import IndexInfo, check_index, renamed
from embow.engines.indexes import Step
from embow.errors import ConfigurationError
from embow.index import FTS, Config, Hnsw, IndexStats
from embow.pipeline._progress import Bar


def create_index(
    handle: Handle,
    column: str,
    config: Config | None,
    name: str | None,
    *,
    replace: bool,
    progress: bool | None,
) -> IndexStats:
    """Define and build an index. See ``Table.create_index``."""
    handle.require_latest()
    columns = handle.look()
    path = path_of(columns, column)
    if config is None:
        config = _usual(path.type)
    elif not callable(getattr(config, "settings", None)):
        raise ConfigurationError(
            f"The config of an index is Hnsw(...) or FTS(...) of embow.index, not {config!r:.60}."
        )
    wanted = name or f"{column}_idx"
    with _shown(handle, progress) as step:
        handle.stored.create_index(path.physical, config, name=wanted, replace=replace, step=step)
    return index_stats(handle, wanted)


def _usual(column: pa.DataType) -> Config:
    """Return the index that a column of a type gets where none is named."""
    many = (pa.types.is_list, pa.types.is_large_list)
    value = column.value_type if any(fits(column) for fits in many) else column
    texts = pa.types.is_string(value) or pa.types.is_large_string(value)
    return FTS() if texts else Hnsw()


@contextmanager
def _shown(handle: Handle, progress: bool | None) -> Iterator[Step]:
    """Show how many rows are indexed."""
    with handle.snapshot() as snapshot:
        rows = snapshot.count_rows()
    with Bar(progress, rows, "Indexing") as bar:
        yield bar.add


def list_indices(handle: Handle) -> list[IndexStats]:
    """Return the indexes there are, by name."""
    columns = handle.look()
    return [_told(columns, each) for each in handle.stored.indexes()]


def index_stats(handle: Handle, name: str) -> IndexStats:
    """Return what is known of one index.

    Raises:
        ConfigurationError: There is none of that name.
    """
    known = {each.name: each for each in list_indices(handle)}
    check_index(handle.name, name, known, new=False)
    return known[name]


def _told(columns: Columns, info: IndexInfo) -> IndexStats:
    shown = {physical: name for name, physical in columns.names.items()}
    definition = info.definition
    return IndexStats(
        name=definition.name,
        column=renamed(definition.column, shown) or definition.column,
        kind=definition.kind,
        settings=definition.settings,
        num_indexed_rows=info.rows,
        num_unindexed_rows=info.rest,
        num_pieces=info.pieces,
        num_bytes=info.num_bytes,
        trouble=info.trouble,
    )


def follow_columns(handle: Handle, before: Columns) -> None:
    """Let indexes be of the columns that have taken over the names of theirs.

    ``optimize`` builds them anew; until then every row is read.
    """
    indexes = handle.stored.indexes()
    if not indexes:
        return
    names = handle.look().names
    moved = {physical: names.get(name, physical) for name, physical in before.names.items()}
    for each in indexes:
        column = renamed(each.definition.column, moved)
        if column not in (None, each.definition.column):
            handle.stored.move_index(each.definition.name, column)
