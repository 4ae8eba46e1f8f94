"""The indexes of a table as one version of it has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from embow.engines._indexing import Opened, Ranges, covered, library_of, say_once
from embow.engines._local.blobs import read_blob
from embow.engines._local.indexrows import IndexRow, PieceRow
from embow.engines._local.store import Store
from embow.engines._local.view import View
from embow.engines._paths import type_at
from embow.engines.indexes import Covering, Library, Mask, RowIds
from embow.errors import StorageError

_ID = np.dtype("<i8")


def coverings(store: Store, view: View) -> list[Covering[Any]]:
    """Return the indexes of the columns that a version has."""
    if not view.indexes:
        return []
    if not view.coverings:
        named = {piece.file.name for index in view.indexes for piece in index.pieces}
        for name in store.pieces.keys() - named:
            store.pieces.pop(name, None)
    found = []
    for index in view.indexes:
        name = index.definition.name
        stored = view.layout.stored_path(index.definition.column)
        if stored is None:
            continue
        if name not in view.coverings:
            view.coverings[name] = _covering(store, view, index, stored)
        found.append(view.coverings[name])
    return found


def _covering(store: Store, view: View, index: IndexRow, stored: str) -> Covering[Any]:
    column = type_at(view.layout.types, stored)
    library, trouble = library_of(store.libraries, index.definition, column)
    opened: list[Opened[Any]] = []
    if library is not None:
        opened, trouble = opened_pieces(store, library, index.of(stored))
    ranges = Ranges(opened)
    parts = tuple(covered(each, _present(view, each.row_ids)) for each in opened)
    rest = np.concatenate([np.empty(0, np.int64), *_rest(view, ranges)])
    return Covering(index.definition, library, parts, rest, trouble, stored)


def _present(view: View, row_ids: RowIds) -> Mask | None:
    """Return which of some ascending ids are rows of a version; ``None`` where all are.

    Deleted ids do not tell: once `optimize` has dropped the rows they are forgotten, and pieces
    may keep them.
    """
    mask = np.zeros(len(row_ids), np.bool_)
    for part in view.parts:
        block = part.block
        low, high = np.searchsorted(row_ids, [block.first_row, block.last_row + 1])
        if low == high:
            continue
        wanted = row_ids[low:high]
        if not block.dense:
            places = np.searchsorted(block.ids, wanted)
            there = block.ids[places] == wanted
            mask[low:high] = there if part.live is None else there & part.live[places]
        elif part.live is None:
            mask[low:high] = True
        elif wanted[-1] - wanted[0] == len(wanted) - 1:  # Neighbours lie together in both.
            first = wanted[0] - block.first_row
            mask[low:high] = part.live[first : first + len(wanted)]
        else:
            mask[low:high] = part.live[wanted - block.first_row]
    return None if mask.all() else mask


def opened_pieces(
    store: Store, library: Library[Any], pieces: Sequence[PieceRow]
) -> tuple[list[Opened[Any]], str]:
    """Return the pieces that can be read, and what was wrong with the others.

    What an index lacks is read from the rows: a damaged piece costs time and no answer.
    """
    fingerprint, opened, troubles = library.fingerprint(), [], []
    for each in pieces:
        if each.fingerprint != fingerprint:
            troubles.append("Another release built a piece of an index; optimize() renews it.")
            continue
        name = each.file.name
        try:
            if name not in store.pieces:
                store.pieces[name] = _read(store, library, each)
            opened.append(store.pieces[name])
        except FileNotFoundError:
            continue  # optimize() exchanged it since this version was read.
        except StorageError as exc:
            troubles.append(f"{exc} Rows are read without it; optimize() builds it anew.")
    trouble = " ".join(dict.fromkeys(troubles))
    if trouble:
        say_once(trouble)
    return opened, trouble


def _read(store: Store, library: Library[Any], row: PieceRow) -> Opened[Any]:
    path = store.folder / row.file.name
    data = read_blob(path, row.file, store.name)
    end = len(data) if row.dense else len(data) - row.rows * _ID.itemsize
    try:
        if row.dense:
            ids = np.arange(row.first_row, row.next_row, dtype=np.int64)
        else:
            ids = np.frombuffer(data[end:], _ID).astype(np.int64)
            _check_ids(ids, row)
        piece = library.read(data[:end], row.rows)
    except (ValueError, RuntimeError) as exc:
        raise StorageError(f"Cannot read {path} of table '{store.name}': {exc}.") from exc
    return Opened(row.first_row, row.next_row, ids, piece)


def _check_ids(ids: RowIds, row: PieceRow) -> None:
    inside = not len(ids) or (ids[0] >= row.first_row and ids[-1] < row.next_row)
    if len(ids) != row.rows or not inside or not (ids[1:] > ids[:-1]).all():
        raise ValueError("its row ids are not those of a piece")


def tail_of(opened: Opened[Any]) -> bytes:
    """Return what follows a piece in its file: the ids, unless they follow one another."""
    if len(opened.row_ids) == opened.next_row - opened.first_row:
        return b""
    return opened.row_ids.astype(_ID).tobytes()


def _rest(view: View, ranges: Ranges) -> Iterator[RowIds]:
    for part in view.parts:
        if part.block.last_row >= ranges.dense_until:
            ids = part.block.ids if part.live is None else part.block.ids[part.live]
            yield ranges.outside(ids)
