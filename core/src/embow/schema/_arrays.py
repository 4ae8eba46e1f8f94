"""Arrow arrays of any type, nested ones included, from Python values.

``pyarrow.array`` imports pandas wherever it is installed, half a second before the first row of
a process, and truncates, parses or drops some values in silence. This does neither.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from collections.abc import Mapping, Sequence, Set
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, RootModel

from embow.schema._cells import CellError, converted, plain
from embow.schema._masks import bitmap_of

_BYTES = frozenset((pa.utf8(), pa.large_utf8(), pa.binary(), pa.large_binary()))


def build_array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """Return values as an Arrow array of the field's type, checking each.

    Enum members, pydantic models, dataclasses, sets, numpy arrays, UUIDs, paths and URLs are
    taken for what they hold. Nothing is rounded to whole numbers, parsed from text or cut off.

    Raises:
        CellError: A value does not fit the field.
    """
    if not field.nullable and (bad := _first_none(values)) is not None:
        raise CellError(bad, "a value is needed, and None or nothing was given")
    return array_of(values, field.type)


def _first_none(values: Sequence[Any]) -> int | None:
    return next((i for i, value in enumerate(values) if value is None), None)


def array_of(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    """Return values as an Arrow array of a type; nulls are taken."""
    for kind in set(map(type, values)):
        if issubclass(kind, RootModel):
            values = [value.root if isinstance(value, kind) else value for value in values]
    if isinstance(arrow, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(arrow, array_of(values, arrow.storage_type))
    if pa.types.is_dictionary(arrow):
        return array_of(values, arrow.value_type).dictionary_encode().cast(arrow)
    if pa.types.is_struct(arrow):
        return _structs(values, arrow)
    if pa.types.is_map(arrow):
        pair = pa.struct([arrow.key_field.with_name("key"), arrow.item_field.with_name("value")])
        return _lists(values, arrow, pa.field("entries", pair, nullable=False))
    if pa.types.is_nested(arrow) and any(test(arrow) for test in _LISTS):
        return _lists(values, arrow, arrow.value_field)
    return _leaves(values, arrow)


_LISTED = frozenset((list, tuple, np.ndarray, type(None)))
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def _bitmap(values: Sequence[Any]) -> pa.Buffer | None:
    """Return which values are not null as Arrow keeps it: nothing where all are there."""
    if type(None) not in set(map(type, values)):
        return None
    return bitmap_of(np.fromiter((value is not None for value in values), np.bool_, len(values)))


# -- structs, lists and maps ----------------------------------------------------------------


def _structs(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    names = {field.name for field in arrow}
    rows = [_mapping(i, value) for i, value in enumerate(values)]
    for position, row in enumerate(rows):
        if row is not None and (unknown := row.keys() - names):
            listed = ", ".join(sorted(map(repr, unknown)))
            raise CellError(position, f"unknown field {listed}; the struct has {sorted(names)}")
    there = [i for i, row in enumerate(rows) if row is not None]
    children = []
    for field in arrow:
        cells = [None if row is None else row.get(field.name) for row in rows]
        try:
            if not field.nullable and (bad := _first_none([cells[i] for i in there])) is not None:
                raise CellError(there[bad], "a value is needed, and None or nothing was given")
            children.append(array_of(cells, field.type))
        except CellError as exc:
            raise CellError(exc.position, exc.reason, (field.name, *exc.path)) from exc
    return pa.Array.from_buffers(arrow, len(values), [_bitmap(values)], children=children)


def _mapping(position: int, value: Any) -> Mapping[str, Any] | None:
    if value is None or isinstance(value, Mapping):
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


def _lists(values: Sequence[Any], arrow: pa.DataType, item: pa.Field) -> pa.Array:
    """Return lists of any kind, maps being lists of pairs."""
    read = _pairs if pa.types.is_map(arrow) else _items
    cells = values
    if read is _pairs or not _LISTED.issuperset(map(type, values)):
        cells = [None if v is None else read(i, v) for i, v in enumerate(values)]
    buffers = [_bitmap(values)]
    if pa.types.is_fixed_size_list(arrow):
        if buffers[0] is not None and not any(cell is not None for cell in cells):
            return pa.nulls(len(cells), arrow)
        cells = _of_size(cells, arrow.list_size)
        offsets = np.arange(len(cells) + 1, dtype=np.int64) * arrow.list_size
    else:
        cells = [() if cell is None else cell for cell in cells]
        offsets = offsets_of(cells, np.int64 if pa.types.is_large_list(arrow) else np.int32)
        buffers.append(pa.py_buffer(offsets))
    try:
        child = _concatenated(cells, item.type)
        if child is None:
            child = build_array(list(chain.from_iterable(cells)), item)
    except CellError as exc:
        owner = int(np.searchsorted(offsets, exc.position, side="right")) - 1
        raise CellError(owner, exc.reason, exc.path) from exc
    return pa.Array.from_buffers(arrow, len(cells), buffers, children=[child])


def _of_size(cells: Sequence[Any], size: int) -> list[Any]:
    """Return lists of one size; in the place of a null stands one of the others."""
    for position, cell in enumerate(cells):
        if cell is not None and len(cell) != size:
            raise CellError(position, f"{len(cell)} numbers given where {size} are needed")
    blank = next((cell for cell in cells if cell is not None), None)
    return [blank if cell is None else cell for cell in cells]


def offsets_of(cells: Sequence[Any], dtype: type[np.signedinteger[Any]]) -> NDArray[Any]:
    """Return where each cell begins in the cells joined, and where the last one ends.

    Raises:
        CellError: The cells joined are longer than the offset type can say.
    """
    ends = np.zeros(len(cells) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, cells), dtype=np.int64, count=len(cells)), out=ends[1:])
    limit = np.iinfo(dtype).max
    if ends[-1] > limit:
        bad = int(np.searchsorted(ends, limit, side="right")) - 1
        raise CellError(
            bad, f"the column holds over {limit:,} bytes or items; add fewer rows at once"
        )
    return ends.astype(dtype)


def _concatenated(cells: Sequence[Any], arrow: pa.DataType) -> pa.Array | None:
    """Return cells of numbers as one array without visiting each number, where that is exact."""
    dtype = _numpy_type(arrow)
    if dtype is None or not cells:
        return None
    joined = _packed(cells, dtype)
    if joined is None:
        try:
            parts = [np.asarray(cell) for cell in cells]
        except ValueError:
            return None  # nested or ragged: the general way names the row
        exact = "fiu" if dtype.kind == "f" else ""
        kinds = {(part.ndim, part.dtype) for part in parts}
        if not all(ndim == 1 and (k == dtype or k.kind in exact) for ndim, k in kinds):
            return None
        joined = _narrow(np.concatenate(parts), dtype)
    return pa.Array.from_buffers(arrow, len(joined), [None, pa.py_buffer(joined)])


def _packed(cells: Sequence[Any], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return lists of Python numbers as one array of floats, twice as fast as an array of each.

    ``None`` where a value is no number or does not fit: others find out which.
    """
    if dtype.kind != "f" or not {list, tuple}.issuperset(map(type, cells)):
        return None
    if not {float, int}.issuperset(type(cell[0]) for cell in cells if cell):
        return None  # Of what can be turned into a number, not all is one.
    joined = np.empty(sum(map(len, cells)), dtype)
    at = 0
    try:
        for cell in cells:
            packer = _packer(len(cell), dtype.char)
            packer.pack_into(joined.data, at, *cell)
            at += packer.size
    except (struct.error, OverflowError, TypeError):
        return None
    return joined if np.isfinite(joined).all() else None


@lru_cache(maxsize=64)
def _packer(count: int, kind: str) -> struct.Struct:
    return struct.Struct(f"{count}{kind}")


def _items(position: int, value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)):
        return value
    for method in ("to_pylist", "as_py", "tolist"):
        if hasattr(value, method):
            return getattr(value, method)()
    if isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray)):
        return list(value)
    raise CellError(position, f"{type(value).__name__} given where a list is needed")


def _pairs(position: int, value: Any) -> list[dict[str, Any]]:
    try:
        pairs = value.items() if isinstance(value, Mapping) else map(tuple, plain(value))
        return [{"key": key, "value": item} for key, item in pairs]
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise CellError(position, f"{kind} given where a dict is needed") from None


# -- values without children ----------------------------------------------------------------


def _leaves(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    cells = converted(values, arrow)
    if pa.types.is_null(arrow):
        return pa.nulls(len(cells))
    bitmap = _bitmap(cells)
    if arrow in _BYTES:
        encoded = _encoded(cells)
        wide = pa.types.is_large_string(arrow) or pa.types.is_large_binary(arrow)
        offsets = offsets_of(encoded, np.int64 if wide else np.int32)
        data = [pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
        return pa.Array.from_buffers(arrow, len(cells), [bitmap, *data])
    return pa.Array.from_buffers(arrow, len(cells), [bitmap, pa.py_buffer(_data(cells, arrow))])


def _data(cells: Sequence[Any], arrow: pa.DataType) -> Any:
    """Return checked values of one width as Arrow keeps them."""
    if pa.types.is_fixed_size_binary(arrow) or pa.types.is_decimal(arrow):
        blank = bytes(arrow.bit_width // 8)
        return b"".join(blank if cell is None else cell for cell in cells)
    filled = [0 if cell is None else cell for cell in cells] if None in cells else cells
    if pa.types.is_boolean(arrow):
        return bitmap_of(np.array(filled, np.bool_))
    if pa.types.is_floating(arrow):
        return _floats(filled, arrow)
    dtype = _numpy_type(arrow) or np.dtype(f"i{arrow.bit_width // 8}")
    limits = np.iinfo(dtype)
    if filled and (min(filled) < limits.min or max(filled) > limits.max):
        bad = next(i for i, v in enumerate(filled) if not limits.min <= v <= limits.max)
        raise CellError(bad, f"{filled[bad]} does not fit {arrow}")
    return np.array(filled, dtype=dtype)


def _floats(filled: Sequence[float], arrow: pa.DataType) -> NDArray[Any]:
    try:
        wide = np.array(filled, dtype=np.float64)
    except OverflowError as exc:
        bad = next(i for i, v in enumerate(filled) if abs(v) > sys.float_info.max)
        raise CellError(bad, f"a number of {len(str(filled[bad]))} digits is too large") from exc
    return _narrow(wide, _numpy_type(arrow))


def _narrow(wide: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Cast numbers to ``dtype``; a finite number that becomes infinite is refused."""
    if wide.dtype == dtype:
        return wide
    with np.errstate(over="ignore"):
        data = wide.astype(dtype)
    lost = np.isinf(data) & np.isfinite(wide)
    if lost.any():
        bad = int(np.flatnonzero(lost)[0])
        raise CellError(bad, f"{wide.flat[bad]} does not fit {dtype.name}")
    return data


@lru_cache
def _numpy_type(arrow: pa.DataType) -> np.dtype[Any] | None:
    """Return the numpy type of an Arrow number type, ``None`` for other types."""
    number = pa.types.is_integer(arrow) or pa.types.is_floating(arrow)
    return np.dtype(arrow.to_pandas_dtype()) if number else None


def _encoded(cells: Sequence[Any]) -> list[bytes]:
    try:
        if set(map(type, cells)) == {str}:
            return list(map(str.encode, cells))
        return [b"" if c is None else c if isinstance(c, bytes) else c.encode() for c in cells]
    except UnicodeEncodeError as exc:
        reason = f"the text is not valid Unicode: {exc.reason}"
        raise CellError(cells.index(exc.object), reason) from exc
