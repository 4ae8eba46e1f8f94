"""From what a user searches for to a column and vectors: which column, and whether to embed.

Called by ``query``. Ambiguity that cannot be settled by rule is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._table.columns import Columns
from embow._table.handle import Handle
from embow.embeddings import Binding
from embow.engines.contract import is_vector
from embow.errors import BadVectorError, DataError

_NOTHING = "There is nothing to search for: the list is empty. search() without it reads rows."

_MAY_BE = (int, float, np.number, Sequence, np.ndarray)
_ARE_NOT = (str, bytes)
"""Types of what a vector, or a list of vectors, may and may not hold."""


def as_vectors(query: Any) -> NDArray[np.float32] | None:
    """Return the query as one vector or a matrix of them, ``None`` where it is neither.

    Raises:
        BadVectorError: It is a vector that holds NaN or infinity, or an empty list.
    """
    if isinstance(query, (pa.Array, pa.ChunkedArray)):
        query = query.to_pylist()
    if isinstance(query, np.ndarray) and query.ndim in (1, 2) and query.dtype.kind in "fiu":
        return _checked(query)
    if not isinstance(query, Sequence) or isinstance(query, (str, bytes, bytearray)):
        return None
    if not query:
        raise BadVectorError(_NOTHING)
    kinds = set(map(type, query))  # Of values there may be thousands, of types there are few.
    if not all(issubclass(each, _MAY_BE) and not issubclass(each, _ARE_NOT) for each in kinds):
        return None
    try:
        array = np.asarray(query, dtype=np.float64)
    except (ValueError, TypeError):
        return None
    except OverflowError as exc:
        raise BadVectorError("The query vector holds a number that is too large.") from exc
    return _checked(array) if array.ndim in (1, 2) else None


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
) -> tuple[Binding, NDArray[np.float32]]:
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


def column_for_vector(columns: Columns, column: str | None, ndims: int) -> str:
    """Return the column to compare a vector with: the named one, or the first of its length."""
    if column is not None:
        columns.physical(column)
    sizes: dict[str, int] = {f.name: f.type.list_size for f in columns.visible if is_vector(f.type)}
    candidates = [name for name in sizes if column in (None, name)]
    if not candidates:
        named = f"Column {column!r} is no vector column" if column else "There is no vector column"
        raise DataError(f"{named}. Vector columns: {', '.join(sizes) or 'none'}.")
    fitting: list[str] = [name for name in candidates if sizes[name] == ndims]
    if not fitting:
        listed = ", ".join(f"{name} ({sizes[name]})" for name in candidates)
        raise BadVectorError(
            f"The query vector has {ndims} dimensions, and no column has so many: {listed}."
        )
    return fitting[0]


def _checked(vectors: NDArray[Any]) -> NDArray[np.float32]:
    if not len(vectors):
        raise BadVectorError(_NOTHING)
    with np.errstate(over="ignore"):
        single: NDArray[np.float32] = vectors.astype(np.float32)
    if not np.isfinite(single).all():
        raise BadVectorError("The query vector holds NaN, infinity, or a number too large.")
    return single
