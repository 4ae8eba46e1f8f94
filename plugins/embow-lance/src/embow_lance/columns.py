"""Values of one more column: a file beside those of each fragment, its rows in their order.

Each file holds a second column, the row ids, which no field of the table names. Where a fragment
was rewritten before the commit, its values are found again by them.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from lance.fragment import FragmentMetadata, LanceFragment, write_fragments
from numpy.typing import NDArray

from embow.engines.contract import ROW_ID, RowIds
from embow.errors import MissingColumnError
from embow_lance.failures import storing
from embow_lance.fields import Shape, files_of, renumbered, unpacked
from embow_lance.incoming import fit_array
from embow_lance.reading import addresses
from embow_lance.staging import Written, as_field, as_text
from embow_lance.store import Store

_ROW = pa.field("row", pa.int64())
_WINDOW = 4096
_OFFSET = 2**32 - 1


class Values:
    """Values of a column by row id, in a file that goes when this is closed.

    Args:
        field: The column.
        batches: ``_rowid`` and the column; of equal ids the last counts.
    """

    def __init__(self, field: pa.Field, batches: Iterable[pa.RecordBatch]) -> None:
        self._type = field.type
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            row_ids, self._pieces = self._spooled(field, batches)
        except BaseException:
            self.close()
            raise
        lengths = [len(piece) for piece in self._pieces]
        self._starts = np.cumsum([0, *lengths], dtype=np.intp)[:-1]
        self._places: NDArray[np.intp] = np.argsort(row_ids, kind="stable")
        self._ids = row_ids[self._places]

    def _spooled(
        self, field: pa.Field, batches: Iterable[pa.RecordBatch]
    ) -> tuple[RowIds, list[pa.Array]]:
        ids = [np.empty(0, np.int64)]
        schema = pa.schema([pa.field(field.name, field.type)])
        with pa.ipc.new_stream(self._file, schema) as writer:
            for batch in batches:
                own, values = _checked(batch, field)
                ids.append(own)
                writer.write_batch(pa.RecordBatch.from_arrays([values], schema=schema))
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        pieces = [batch.column(0) for batch in pa.ipc.open_stream(pa.py_buffer(mapped))]
        return np.concatenate(ids), pieces

    def of(self, row_ids: RowIds) -> pa.Array:
        """Return the values of rows; null for those that have none."""
        if not len(self._ids):
            return pa.nulls(len(row_ids), self._type)
        at = np.maximum(np.searchsorted(self._ids, row_ids, side="right") - 1, 0)
        known, places = self._ids[at] == row_ids, self._places[at]
        numbers = np.searchsorted(self._starts, places, side="right") - 1
        index, pieces, filled = np.zeros(len(row_ids), np.int64), [pa.nulls(0, self._type)], 0
        for number in np.unique(numbers[known]).tolist():
            own = np.flatnonzero(known & (numbers == number))
            pieces.append(self._pieces[number].take(pa.array(places[own] - self._starts[number])))
            index[own] = np.arange(filled, filled + len(own))
            filled += len(own)
        return pa.concat_arrays(pieces).take(pa.array(index, mask=~known))

    def __len__(self) -> int:
        return len(np.unique(self._ids))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _checked(batch: pa.RecordBatch, field: pa.Field) -> tuple[RowIds, pa.Array]:
    for name in (ROW_ID, field.name):
        if batch.schema.get_field_index(name) < 0:
            raise MissingColumnError(
                f"Values of a column come with '{ROW_ID}' and '{field.name}'; '{name}' is missing."
            )
    ids = batch.column(ROW_ID).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return ids, fit_array(batch.column(field.name), field)


def write_column(
    store: Store, dataset: lance.LanceDataset, field: pa.Field, batches: Iterable[pa.RecordBatch]
) -> tuple[Written, int]:
    """Write values for the fragments of a version; return also how many there are."""
    now = datetime.now(UTC).timestamp()
    fragments = dataset.get_fragments()
    with closing(Values(field, batches)) as values:
        made = _write(store, fragments, field, values)
        ids = [addresses(dataset, fragments)[0].max(initial=-1) if fragments else -1]
        written = Written(
            fragments=[each.to_json() for each in made],
            types={field.name: str(field.type)},
            numbers={name: list(own) for name, own in _file_shape(field).numbers.items()},
            at=now,
            places=tuple(_place(each.metadata) for each in fragments),
            last=int(max(ids)),
            field=as_text(field),
        )
        return written, len(values)


def _file_shape(field: pa.Field) -> Shape:
    return Shape.new(pa.schema([field, _ROW]))


def _place(fragment: FragmentMetadata) -> str:
    return str(fragment.files[0].path)


def _write(
    store: Store, fragments: Sequence[LanceFragment], field: pa.Field, values: Values
) -> list[FragmentMetadata]:
    made: list[FragmentMetadata] = []
    schema = pa.schema([field, _ROW])
    for fragment in fragments:
        reader = pa.RecordBatchReader.from_batches(schema, _aligned(fragment, schema, values))
        with storing(f"write column '{field.name}' of table '{store.name}'"):
            made += write_fragments(
                reader,
                store.uri,
                mode="overwrite",
                max_rows_per_file=fragment.physical_rows,
                storage_options=dict(store.options),
            )
    store.sync(f"data/{file.path}" for each in made for file in each.files)
    return made


def _aligned(
    fragment: LanceFragment, schema: pa.Schema, values: Values
) -> Iterator[pa.RecordBatch]:
    """Yield values for all rows a fragment ever had; those of deleted rows are null."""
    row_ids = np.full(fragment.physical_rows, -1, np.int64)
    live = fragment.scanner(columns=[], with_row_id=True, with_row_address=True).to_table()
    row_ids[np.asarray(live["_rowaddr"]) & _OFFSET] = np.asarray(live[ROW_ID])
    for start in range(0, len(row_ids), _WINDOW):
        own = row_ids[start : start + _WINDOW]
        yield pa.RecordBatch.from_arrays([values.of(own), pa.array(own)], schema=schema)


def with_column(
    store: Store, dataset: lance.LanceDataset, written: Written, numbers: Sequence[int]
) -> dict[int, FragmentMetadata]:
    """Return the staged files of a column by the id of the current fragment they belong to.

    Args:
        store: The table.
        dataset: The current version.
        written: What was staged.
        numbers: Field numbers of the column in the table.
    """
    field = as_field(written.field)
    moved = dict(zip(written.numbers[field.name], numbers, strict=True))
    staged = dict(zip(written.places, written.fragments, strict=True))
    found, rest = {}, []
    for fragment in dataset.get_fragments():
        place = _place(fragment.metadata)
        if place in staged:
            found[fragment.fragment_id] = unpacked(staged.pop(place))
        else:
            rest.append(fragment)
    rewritten = [each for each in rest if staged and _begins(dataset, each) <= written.last]
    if rewritten:
        with closing(Values(field, _read(store, staged, field))) as values:
            made = _write(store, rewritten, field, values)
        found |= dict(zip((each.fragment_id for each in rewritten), made, strict=True))
    return {number: renumbered(fragment, moved) for number, fragment in found.items()}


def _begins(dataset: lance.LanceDataset, fragment: LanceFragment) -> int:
    row_ids, _ = addresses(dataset, [fragment])
    return int(row_ids.min(initial=np.iinfo(np.int64).max))


def _read(
    store: Store, staged: Mapping[str, Mapping[str, Any]], field: pa.Field
) -> Iterator[pa.RecordBatch]:
    files = store.files()
    for fragment in staged.values():
        for path in files_of(fragment):
            with storing(f"read staged values of table '{store.name}'"):
                reader = files.open_reader(f"data/{path}")
                for batch in reader.read_all(batch_size=_WINDOW).to_batches():
                    yield batch.rename_columns([field.name, ROW_ID])
