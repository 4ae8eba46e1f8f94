"""Arrow arrays of any type, nested ones included, from Python values."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, RootModel

from embow.schema._cells import CellError, plain
from embow.schema._leaves import build_leaf, narrow, numpy_type, offsets_of, validity


def build_array(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    """Return values as an Arrow array of the given type, checking each.

    Enum members, pydantic models, dataclasses, sets, numpy arrays, UUIDs, paths and URLs are
    taken for what they hold. Nothing is rounded to whole numbers, parsed from text or cut off.

    Raises:
        CellError: A value does not fit the type.
    """
    for kind in set(map(type, values)):
        if issubclass(kind, RootModel):
            values = [value.root if isinstance(value, RootModel) else value for value in values]
            break
    if isinstance(arrow, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(arrow, build_array(values, arrow.storage_type))
    if pa.types.is_dictionary(arrow):
        return build_array(values, arrow.value_type).dictionary_encode().cast(arrow)
    if pa.types.is_struct(arrow):
        return _structs(values, arrow)
    if pa.types.is_map(arrow):
        return _maps(values, arrow)
    if pa.types.is_fixed_size_list(arrow):
        return _fixed_lists(values, arrow)
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return _lists(values, arrow)
    return build_leaf(values, arrow)


def check_not_null(values: Sequence[Any], parent: NDArray[np.bool_] | None = None) -> None:
    """Refuse a null, unless its parent is null."""
    for position, value in enumerate(values):
        if value is None and (parent is None or parent[position]):
            raise CellError(position, "a value is needed, and None or nothing was given")


# -- structs --------------------------------------------------------------------------------


def _structs(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    mask, bitmap = validity(values)
    rows = [_mapping(i, value) for i, value in enumerate(values)]
    names = {field.name for field in arrow}
    for position, row in enumerate(rows):
        if unknown := row.keys() - names:
            listed = ", ".join(sorted(map(repr, unknown)))
            raise CellError(position, f"unknown field {listed}; the struct has {sorted(names)}")
    children = [_child([row.get(f.name) for row in rows], f, mask) for f in arrow]
    return pa.Array.from_buffers(arrow, len(values), [bitmap], children=children)


def _child(values: Sequence[Any], field: pa.Field, parent: NDArray[np.bool_]) -> pa.Array:
    try:
        if not field.nullable:
            check_not_null(values, parent)
        return build_array(values, field.type)
    except CellError as exc:
        raise CellError(exc.position, exc.reason, (field.name, *exc.path)) from exc


def _mapping(position: int, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, BaseModel):
        from embow.schema._columns import columns_of

        return {column.name: getattr(value, column.attribute) for column in columns_of(type(value))}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    if isinstance(value, pa.Scalar):
        return _mapping(position, value.as_py())
    raise CellError(position, f"{type(value).__name__} given where a dict or model is needed")


# -- lists and maps -------------------------------------------------------------------------


def _lists(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    _, bitmap = validity(values)
    cells = [_items(i, value) for i, value in enumerate(values)]
    offsets = offsets_of(cells, np.int64 if pa.types.is_large_list(arrow) else np.int32)
    child = _flat(cells, arrow.value_field, offsets)
    return pa.Array.from_buffers(
        arrow, len(cells), [bitmap, pa.py_buffer(offsets)], children=[child]
    )


def _fixed_lists(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    _, bitmap = validity(values)
    cells = [_items(i, value) for i, value in enumerate(values)]
    size = arrow.list_size
    for position, cell in enumerate(cells):
        if values[position] is not None and len(cell) != size:
            raise CellError(position, f"{len(cell)} numbers given where {size} are needed")
    blank = _blank(arrow)
    cells = [blank if value is None else cell for value, cell in zip(values, cells, strict=True)]
    offsets = np.arange(len(cells) + 1, dtype=np.int64) * size
    child = _flat(cells, arrow.value_field, offsets, padded=bitmap is not None)
    return pa.Array.from_buffers(arrow, len(cells), [bitmap], children=[child])


def _blank(arrow: pa.DataType) -> Any:
    """Return what stands in the buffers under a null."""
    dtype = numpy_type(arrow.value_type)
    return [None] * arrow.list_size if dtype is None else np.zeros(arrow.list_size, dtype=dtype)


def _maps(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    _, bitmap = validity(values)
    cells = [_pairs(i, value) for i, value in enumerate(values)]
    offsets = offsets_of(cells, np.int32)
    pairs = list(chain.from_iterable(cells))
    every = np.ones(len(pairs), dtype=np.bool_)
    children = []
    for part, field in enumerate((arrow.key_field, arrow.item_field)):
        try:
            children.append(_child([pair[part] for pair in pairs], field, every))
        except CellError as exc:
            raise CellError(_owner(offsets, exc.position), exc.reason, exc.path) from exc
    entries = pa.struct([arrow.key_field, arrow.item_field])
    child = pa.Array.from_buffers(entries, len(pairs), [None], children=children)
    return pa.Array.from_buffers(
        arrow, len(cells), [bitmap, pa.py_buffer(offsets)], children=[child]
    )


def _flat(
    cells: Sequence[Any], field: pa.Field, offsets: NDArray[Any], padded: bool = False
) -> pa.Array:
    """Return the items of all cells as one array."""
    try:
        if (fast := _concatenated(cells, field.type)) is not None:
            return fast
        items = list(chain.from_iterable(cells))
        if not padded and not field.nullable:
            check_not_null(items)
        return build_array(items, field.type)
    except CellError as exc:
        raise CellError(_owner(offsets, exc.position), exc.reason, exc.path) from exc


def _concatenated(cells: Sequence[Any], arrow: pa.DataType) -> pa.Array | None:
    """Return cells of numbers as one array without visiting each number, where that is exact."""
    dtype = numpy_type(arrow)
    if dtype is None or not cells:
        return None
    try:
        parts = [np.asarray(cell) for cell in cells]
    except ValueError:
        return None  # nested or ragged: the general way names the row
    exact = "fiu" if np.dtype(dtype).kind == "f" else ""
    if not all(p.ndim == 1 and (p.dtype == dtype or p.dtype.kind in exact) for p in parts):
        return None
    joined = narrow(np.concatenate(parts), dtype)
    return pa.Array.from_buffers(arrow, len(joined), [None, pa.py_buffer(joined)])


def _owner(offsets: NDArray[Any], item: int) -> int:
    """Return the cell that an item of the flattened list belongs to."""
    return int(np.searchsorted(offsets, item, side="right")) - 1


def _items(position: int, value: Any) -> Any:
    if value is None:
        return ()
    if isinstance(value, (list, tuple, np.ndarray)):
        return value
    if isinstance(value, (set, frozenset, deque)):
        return list(value)
    for method in ("to_pylist", "as_py", "tolist"):
        if hasattr(value, method):
            return getattr(value, method)()
    raise CellError(position, f"{type(value).__name__} given where a list is needed")


def _pairs(position: int, value: Any) -> list[tuple[Any, Any]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.items())
    try:
        pairs = [tuple(pair) for pair in plain(value)]
    except TypeError:
        pairs = [()]
    if any(len(pair) != 2 for pair in pairs):
        raise CellError(position, f"{type(value).__name__} given where a dict is needed")
    return [(key, item) for key, item in pairs]
