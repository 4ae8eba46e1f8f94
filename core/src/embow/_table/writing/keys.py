"""The primary key: rows found by it, and no two rows of one key.

Whoever brings keys into a table looks for them in the snapshot it commits on, and commits
``alone``: where another writer was faster, it looks again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.incoming.conform import Conformer, check_columns
from embow._table.incoming.inputs import one_batch
from embow._table.incoming.rows import rows_to_batch
from embow._table.writing.rows import take_rows
from embow.engines.contract import ROW_ID, RowIds, ScanQuery, Snapshot, row_ids_of
from embow.errors import ConfigurationError, DataError, DuplicateKeyError, SchemaError
from embow.pipeline._types import SourceRows

_NOTHING = np.empty(0, np.int64)


@dataclass(slots=True)
class Keys:
    """The keys that one call brings in.

    Attributes:
        columns: The table's.
        names: Visible columns of the key.
        seen: Keys so far, under visible names.
    """

    columns: Columns
    names: Sequence[str]
    seen: list[pa.RecordBatch] = field(default_factory=list)
    _rows: int = 0
    _compared: int = 0

    def watched(
        self, rows: Iterable[SourceRows], snapshot: Snapshot | None
    ) -> Iterator[SourceRows]:
        """Yield rows before anything is paid for them, sure that their keys are new.

        Raises:
            DuplicateKeyError: Two rows have one key, or a stored row has it.
        """
        for each in rows:
            keys = each.batch.select(list(self.names))
            self.take(keys)
            if snapshot is not None:
                _require_free(keys, snapshot, self.columns, _NOTHING)
            yield each
        self.require_distinct()

    def take(self, keys: pa.RecordBatch) -> None:
        """Note keys; all are compared each time there are twice as many."""
        self.seen.append(keys)
        self._rows += keys.num_rows
        if self._rows >= 2 * self._compared:
            self.require_distinct()

    def require_free(self, snapshot: Snapshot, columns: Columns, gone: RowIds = _NOTHING) -> None:
        """Refuse keys that a stored row has, other than those that go.

        Raises:
            DuplicateKeyError: One is there.
        """
        self.require_distinct()
        if self._rows:
            keys = one_batch(pa.Table.from_batches(self.seen))
            _require_free(keys, snapshot, columns, gone)

    def require_distinct(self) -> None:
        """Refuse two equal keys among those so far.

        Raises:
            DuplicateKeyError: There are two.
        """
        if self._compared == self._rows:
            return
        keys = one_batch(pa.Table.from_batches(self.seen))
        repeated = _repeated(keys)
        if len(repeated):
            raise DuplicateKeyError(
                f"Two rows have the same key {_shown(keys.slice(int(repeated[0]), 1))}. Rows are "
                "told apart by it, so nothing was changed. Leave one of them out."
            )
        self._compared = self._rows


def _repeated(keys: pa.RecordBatch) -> NDArray[np.int64]:
    """Return the positions of keys that came before. ``Table.group_by`` would import pandas."""
    codes = np.zeros(keys.num_rows, np.int64)
    for column in keys.columns:
        values = pc.dictionary_encode(column, null_encoding="encode")
        data = np.frombuffer(values.indices.buffers()[1] or b"", np.int32)
        at = data[values.indices.offset :][: keys.num_rows]
        # Numbered anew for each column, so that no product of two is too large.
        pairs = codes * len(values.dictionary) + at
        codes = np.unique(pairs, return_inverse=True)[1]
    first = np.unique(codes, return_index=True)[1]
    return np.setdiff1d(np.arange(keys.num_rows), first)


def _require_free(keys: pa.RecordBatch, snapshot: Snapshot, columns: Columns, gone: RowIds) -> None:
    at, ids = _located(keys, snapshot, columns)
    taken = at[~np.isin(ids, gone)]
    if len(taken):
        raise DuplicateKeyError(
            f"A row with the key {_shown(keys.slice(int(taken[0]), 1))} is in the table already. "
            "Nothing was changed. To change rows that are there, use upsert(rows)."
        )


def _located(keys: pa.RecordBatch, snapshot: Snapshot, columns: Columns) -> tuple[RowIds, RowIds]:
    return snapshot.locate(keys.rename_columns([columns.names[n] for n in keys.schema.names]))


def get_rows(handle: Handle, keys: Any) -> pa.Table:
    """Return the rows of some keys. See ``Table.get``."""
    with handle.snapshot() as snapshot:
        columns = handle.columns(snapshot)
        at, ids = _located(as_keys(handle, columns, keys), snapshot, columns)
        wanted = ids[np.argsort(at, kind="stable")]
        names = list(columns.names.values())
        query = ScanQuery(columns=names, row_ids=wanted, with_row_id=True)
        found = one_batch(snapshot.scan(query).read_all())
        place = {row: where for where, row in enumerate(row_ids_of(found).tolist())}
        ordered = take_rows(found, [place[row] for row in wanted.tolist()])
        seen = columns.to_visible(ordered).drop_columns([ROW_ID])
        return pa.Table.from_batches([seen]).replace_schema_metadata(columns.visible.metadata)


def rows_of_keys(handle: Handle, snapshot: Snapshot, keys: Any) -> RowIds:
    """Return the ids of the rows of some keys; those that are not there are left out."""
    columns = handle.columns(snapshot)
    _, ids = _located(as_keys(handle, columns, keys), snapshot, columns)
    return ids


def checked_key(table: str, schema: pa.Schema, key: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns of the primary key, sure that they can be one.

    Raises:
        UnknownColumnError: There is no such column.
        SchemaError: Its type is none of a key.
    """
    names = (key,) if isinstance(key, str) else tuple(key or ())
    check_columns(names, tuple(schema.names))
    for name in names:
        data_type = schema.field(name).type
        if not any(is_one(data_type) for is_one in _KEY_TYPES):
            raise SchemaError(
                f"Table {table!r}: column {name!r} is {data_type} and cannot be in the primary "
                "key. Whole numbers, text, bytes, dates and times can."
            )
    return names


_KEY_TYPES = (
    pa.types.is_integer,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_binary,
    pa.types.is_fixed_size_binary,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_date,
    pa.types.is_timestamp,
)


def require_key(handle: Handle, columns: Columns, what: str) -> tuple[str, ...]:
    """Return the columns of the primary key.

    Raises:
        ConfigurationError: There is none.
    """
    if not columns.key:
        raise ConfigurationError(
            f"Table {handle.name!r} has no primary key, which {what} finds rows by. Declare "
            f'it: set_primary_key("{next(iter(columns.names))}"), or create_table(..., '
            "primary_key=...). Without one there are merge_insert(on) and delete(where)."
        )
    return columns.key


def as_keys(handle: Handle, columns: Columns, keys: Any) -> pa.RecordBatch:
    """Return keys as the user gives them as a batch, each once.

    Raises:
        DataError: They do not fit the columns of the key.
    """
    names = require_key(handle, columns, "get, upsert and delete(keys=...)")
    for method in ("to_pylist", "tolist"):
        if hasattr(keys, method):
            keys = getattr(keys, method)()
            break
    single = isinstance(keys, (str, bytes, tuple, Mapping)) or not isinstance(keys, Iterable)
    rows = [_row(key, names) for key in ([keys] if single else keys)]
    schema = pa.schema([columns.visible.field(name) for name in names])
    rows = list({tuple(row.values()): row for row in rows}.values())
    if not rows:
        return one_batch(schema.empty_table())
    return Conformer(schema).fit(rows_to_batch(rows, schema, 0))


def _row(key: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return one key by column."""
    if isinstance(key, Mapping):
        if set(key) != set(names):
            raise DataError(f"A key has the columns {', '.join(names)}, not {', '.join(key)}.")
        return {name: key[name] for name in names}
    values = key if isinstance(key, (tuple, list)) else (key,)
    if len(values) != len(names):
        raise DataError(
            f"The key is made of {', '.join(names)}; {key!r:.60} does not hold one value for each."
        )
    return dict(zip(names, values, strict=True))


def _shown(key: pa.RecordBatch | pa.Table) -> str:
    """Return one key for a message."""
    (row,) = key.to_pylist()
    return ", ".join(f"{name}={value!r:.60}" for name, value in row.items())
