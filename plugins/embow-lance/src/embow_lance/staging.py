"""Writing rows that no version names yet, and reading back what was noted about them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import lance
import pyarrow as pa
from lance.fragment import FragmentMetadata, write_fragments

from embow.engines.contract import Base, Staged
from embow.errors import SchemaError, StagedGoneError
from embow_lance.failures import storing
from embow_lance.fields import Shape, files_of, renumbered, unpacked
from embow_lance.incoming import Source, fit
from embow_lance.store import Store

_FILE_ROWS = 1 << 20
_MOST_ROWS = 1 << 30
SPARED = timedelta(days=7)
"""Age up to which Lance's cleaning, whoever calls it, spares files that no version names."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the payload of `Staged` holds.

    Attributes:
        fragments: Fragments in JSON form; of a column, one for each that the table had.
        types: Arrow type of each column, as text.
        numbers: Field numbers of each column in the files.
        fresh: Whether the rows have a schema of their own and not the table's.
        at: When it was written, in seconds.
        places: For a column, the first file of the fragment each of ``fragments`` belongs to.
        last: For a column, the highest row id there was.
        field: For a column, its Arrow field, serialized, as hexadecimal text.
    """

    fragments: list[dict[str, Any]]
    types: dict[str, str]
    numbers: dict[str, list[int]]
    at: float
    fresh: bool = False
    places: tuple[str, ...] = ()
    last: int = -1
    field: str = ""

    def files(self) -> list[str]:
        """Return the data files."""
        return [path for fragment in self.fragments for path in files_of(fragment)]


def seal(
    written: Written, base: Base, rows: int, lease: timedelta, column: str | None = None
) -> Staged:
    """Return the record of a write."""
    names = Written.__slots__
    payload = json.dumps({name: getattr(written, name) for name in names}).encode()
    until = lease_end(written, lease)
    return Staged(uuid.uuid4().hex, base, rows, until, payload, column)


def unseal(staged: Staged) -> Written:
    """Return what was noted about a write."""
    content = json.loads(staged.payload)
    return Written(**{**content, "places": tuple(content["places"])})


def lease_end(written: Written, lease: timedelta) -> datetime:
    """Return when a lease ends: as asked, or when Lance itself would clean up, if earlier."""
    return min(datetime.now(UTC) + lease, datetime.fromtimestamp(written.at, UTC) + SPARED)


def write_rows(
    store: Store,
    dataset: lance.LanceDataset,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema | None,
) -> tuple[Written, int]:
    """Write rows of the dataset's schema, or of another one; return also how many they are."""
    now = datetime.now(UTC).timestamp()
    wanted = (dataset.schema if schema is None else schema).remove_metadata()
    source = Source(batches, wanted, fit)
    made: list[FragmentMetadata] = []
    try:
        with source.readers(_FILE_ROWS) as readers, storing(f"write rows of table '{store.name}'"):
            for reader in readers:
                made += write_fragments(
                    reader,
                    dataset if schema is None else store.uri,
                    mode="append" if schema is None else "overwrite",
                    max_rows_per_file=_MOST_ROWS,
                    storage_options=dict(store.options),
                )
    except BaseException:
        store.remove(file.path for each in made for file in each.files)  # Lance removes the last.
        raise
    shape = Shape.of(dataset.lance_schema) if schema is None else Shape.new(wanted)
    store.sync(f"data/{file.path}" for fragment in made for file in fragment.files)
    written = Written(
        fragments=[fragment.to_json() for fragment in made],
        types={field.name: str(field.type) for field in wanted},
        numbers={name: list(own) for name, own in shape.numbers.items()},
        at=now,
        fresh=schema is not None,
    )
    return written, source.rows


def fitted(
    written: Written, schema: pa.Schema, shape: Shape, *, overwriting: bool = False
) -> list[FragmentMetadata]:
    """Return staged rows as fragments of a table's current columns.

    A column that was dropped meanwhile is left out, also where there is a new one of its name.

    Raises:
        SchemaError: A column that must not be null would be.
    """
    moved: dict[int, int] = {}
    for field in schema:
        mine, its = written.numbers.get(field.name), shape.numbers[field.name]
        same = mine is not None and written.types[field.name] == str(field.type)
        if mine is not None and same and (written.fresh or overwriting or mine == list(its)):
            moved.update(zip(mine, its, strict=True))
        elif not field.nullable and written.fragments:
            raise SchemaError(
                f"The staged rows have no values for column '{field.name}', which must not be "
                "null: they were written for another schema."
            )
    return [renumbered(unpacked(fragment), moved) for fragment in written.fragments]


def require_present(store: Store, staged: Staged, written: Written) -> None:
    """Raise `StagedGoneError` where files of a write are gone."""
    if store.missing(written.files()):
        raise StagedGoneError(
            f"Staged data of table '{store.name}' are gone: discarded, or removed by optimize "
            f"after their lease, which ended {staged.until:%Y-%m-%d %H:%M} UTC. Write them again."
        )


def as_field(text: str) -> pa.Field:
    """Return the field that was noted."""
    return pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(text))).field(0)


def as_text(field: pa.Field) -> str:
    """Return a field as text."""
    return str(pa.schema([field]).serialize().to_pybytes().hex())
