"""Transactions that change schema or metadata, or replace everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import lance
import pyarrow as pa
from lance.fragment import FragmentMetadata

from embow.engines.contract import Staged
from embow.errors import CommitConflictError
from embow_lance.columns import with_column
from embow_lance.fields import OWN, Shape
from embow_lance.staging import Written, as_field, fitted, unseal
from embow_lance.store import Store


def shaping(
    store: Store,
    dataset: lance.LanceDataset,
    shape: Shape,
    metadata: Mapping[str, str | None] | None,
    columns: Sequence[Written],
    new: list[FragmentMetadata],
) -> lance.LanceOperation.BaseOperation:
    """Return a transaction that collides with all others, with columns and metadata."""
    if metadata is not None:
        merged = {**shape.metadata, **metadata}
        shape = replace(shape, metadata={k: v for k, v in merged.items() if v is not None})
    fragments = [fragment.metadata for fragment in dataset.get_fragments()]
    for written in columns:
        shape, fragments = _joined(store, dataset, shape, fragments, written)
    shape = shape.noted(shaped=dataset.version + 1)
    return lance.LanceOperation.Merge([*fragments, *numbered(new, fragments)], shape.schema())


def _joined(
    store: Store,
    dataset: lance.LanceDataset,
    shape: Shape,
    fragments: list[FragmentMetadata],
    written: Written,
) -> tuple[Shape, list[FragmentMetadata]]:
    field = as_field(written.field)
    shape = with_new(store, shape, [field])
    files = with_column(store, dataset, written, shape.numbers[field.name])
    for fragment in fragments:
        if fragment.id in files:
            fragment.files.extend(files[fragment.id].files)
    return shape, fragments


def with_new(store: Store, shape: Shape, fields: Sequence[pa.Field]) -> Shape:
    """Return a schema with columns that no file has yet.

    Raises:
        CommitConflictError: There is one of that name.
    """
    for field in fields:
        if field.name in shape.fields:
            raise CommitConflictError(
                f"Table '{store.name}' has a column '{field.name}' already: another writer added "
                "it."
            )
        shape = shape.joined(Shape.new(pa.schema([field]), shape.next_number()))
    return shape


def numbered(
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
