"""From what a user searches for to a column and vectors: which column, and whether to embed.

Called by ``query``. Ambiguity that cannot be settled by rule is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow._table.names import unknown_column
from embow._table.paths import paths_in
from embow._table.reading.asked import Asked
from embow.embeddings import Binding
from embow.engines.contract import VectorKind, vector_kind
from embow.errors import BadVectorError, DataError


@dataclass(frozen=True, slots=True)
class Place:
    """One vector column of a version of a table.

    Attributes:
        name: What users call it; within a struct its path, such as ``image.small``.
        physical: The same with the physical name of the column.
        kind: What it holds.
    """

    name: str
    physical: str
    kind: VectorKind


def places(columns: Columns) -> Mapping[str, Place]:
    """Return every vector column by its visible name, those within structs last."""
    return _places(columns.visible, tuple(columns.names.items()))


@lru_cache(256)
def _places(visible: pa.Schema, names: tuple[tuple[str, str], ...]) -> Mapping[str, Place]:
    found = {}
    for name, each in paths_in(visible, names).items():
        kind = vector_kind(each.type)
        if kind is not None:
            found[name] = Place(name, each.physical, kind)
    return MappingProxyType(found)


def inputs_of(query: Any) -> tuple[list[Any], bool]:
    """Return the inputs to embed of a query that is no vector, and whether a list was given.

    Raises:
        DataError: A list holds something other than texts.
    """
    if isinstance(query, (pa.Array, pa.ChunkedArray)):
        query = query.to_pylist()
    elif isinstance(query, np.ndarray) and query.ndim == 1:
        query = query.tolist()
    if not isinstance(query, (list, tuple)):
        return [query], False
    for position, each in enumerate(query):
        if not isinstance(each, str):
            raise DataError(
                "A list is searched for where it holds texts, or vectors of one length; item "
                f"{position} is {type(each).__name__}. Search for other things one at a time."
            )
    return list(query), True


def embedded(
    handle: Handle, columns: Columns, inputs: list[Any], column: str | None
) -> tuple[Binding, NDArray[Any]]:
    """Return the binding of the column to search, and the vectors its function makes of inputs.

    Raises:
        DataError: No column has a function.
        UntrustedError: The function's settings decide what only this process may decide.
    """
    binding = binding_for_input(columns, column, handle)
    function = handle.function(columns, binding)
    return binding, handle.pipeline.embed_queries(function, inputs, columns.options)


def binding_for_input(columns: Columns, column: str | None, handle: Handle) -> Binding:
    """Return the binding whose function embeds an input: the named column's, or the first."""
    if column is None:
        binding = columns.first
    else:
        columns.physical(column)
        binding = columns.binding(column)
    if binding is not None:
        return binding
    where = f"Column {column!r}" if column else f"Table {handle.name!r}"
    raise DataError(
        f"{where} has no embedding function, so it is searched by vector: search([0.1, ...]). "
        "Declare one in the schema, or add it with table.add_embedding(vector, source, function)."
    )


def place_for(columns: Columns, column: str | None, query: Asked) -> Place:
    """Return the column to compare vectors with: the named one, or the first they fit."""
    known = places(columns)
    if column is not None and column not in (*known, *columns.names):
        raise unknown_column(column, [*columns.names, *known], [*columns.names, *known])
    candidates = [each for name, each in known.items() if column in (None, name)]
    if not candidates:
        named = f"Column {column!r} is no vector column" if column else "There is no vector column"
        raise DataError(f"{named}. Vector columns: {', '.join(known) or 'none'}.")
    for each in candidates:
        if query.fits(each.kind):
            return each
    listed = ", ".join(f"{each.name} ({each.kind.ndims})" for each in candidates)
    if query.ndims not in {each.kind.ndims for each in candidates}:
        raise BadVectorError(
            f"The query vector has {query.ndims} dimensions, and no column has so many: {listed}."
        )
    raise BadVectorError(
        f"Several matrices are queries of several vectors each, and no column has several a row: "
        f"{listed}. Give one vector, or a list of vectors."
    )
