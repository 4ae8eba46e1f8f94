"""How a search finds what is nearest: by reading, by reading what passes, or by an index.

The cheapest by number of vectors looked at. Reading is exact, and for what is few the fastest. What
an index finds is scored by the exact search, together with the rows it does not cover, so distances
and order are the same either way and only a row that was missed can make a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from embow.engines.contract._queries import VectorQuery
from embow.engines.indexes import Covered, Covering, Mask, RowIds, VectorLibrary

EF = 64
"""Places an index considers where nothing is said, for few rows wanted."""

_LOOKS = 80
"""Vectors an index costs for each place it considers, counted in vectors read one after another."""

_BATCHED = 0.15
"""Cost of a further query of the same reading, as a share of the first."""

_SPARE = 8
"""Places asked for beside the rows wanted: an index may keep rounded vectors."""

WORTH = 50_000
"""Rows from which an index is worth telling of."""


@dataclass(frozen=True, eq=False)
class Route:
    """How a search goes.

    Attributes:
        index: The index it uses; ``None`` where the rows are read.
        passing: Ids of the rows that pass the filter, ascending; ``None`` where all do.
        rows: How many rows pass.
        why: Why no index is used, a few words; empty where one is.
        effort: Places the index considers.
    """

    index: Covering[Any] | None
    passing: RowIds | None
    rows: int
    why: str = ""
    effort: int = 0


def routed(
    query: VectorQuery,
    indexes: Sequence[Covering[Any]],
    passing: Callable[[], RowIds | None],
    count: Callable[[], int],
) -> Route:
    """Return how a search goes.

    Args:
        query: The search, which has been checked.
        indexes: All indexes of the version.
        passing: Returns the ids of the rows that pass, ``None`` for all; asked where it counts.
        count: Returns the number of rows of the version.
    """
    if query.index == "never":
        return Route(None, None, -1, "not asked for")
    index, why = _fitting(query, indexes)
    if index is None:
        return Route(None, None, -1, why)
    wanted = query.k + query.offset
    effort = max(query.ef or EF, 2 * wanted if query.ef is None else wanted)
    alone = query.index == "only"
    rest = 0 if alone else len(index.rest)
    if not alone and _by_index(effort, 1.0, rest, query) >= _by_reading(index.rows + rest, query):
        return Route(None, None, -1, f"{index.rows + rest:,} rows are read sooner")
    ids = passing()
    if ids is None:
        return Route(index, None, index.rows + rest, "", effort)
    share = len(ids) / max(count(), 1)
    cost = _by_index(effort, share, rest * share, query)
    if not alone and cost >= _by_reading(len(ids), query):
        return Route(None, ids, len(ids), f"the {len(ids):,} rows that pass are read sooner")
    return Route(index, ids, len(ids), "", effort)


def _fitting(
    query: VectorQuery, indexes: Sequence[Covering[Any]]
) -> tuple[Covering[Any] | None, str]:
    mine = [each for each in indexes if each.definition.column == query.column]
    mine = [each for each in mine if each.library is None or _is_vector(each)]
    if not mine:
        return None, "no index"
    usable = [each for each in mine if each.library is not None]
    if not usable:
        return None, mine[0].trouble
    fitting = [each for each in usable if _library(each).metric == query.metric]
    if not fitting:
        metrics = ", ".join(sorted(_library(each).metric for each in usable))
        return None, f"the index is for {metrics}"
    if query.sizes is not None or query.distance_range[0] is not None or not query.k:
        return None, "an index finds the nearest, without a lower bound"
    return max(fitting, key=lambda each: each.rows), ""


def _is_vector(index: Covering[Any]) -> bool:
    return isinstance(index.library, VectorLibrary)


def _library(index: Covering[Any]) -> VectorLibrary[Any]:
    assert isinstance(index.library, VectorLibrary)
    return index.library


def _by_index(effort: int, share: float, rest: float, query: VectorQuery) -> float:
    # What does not pass is looked at all the same.
    return len(query.vectors) * (_LOOKS * effort / max(share, 1e-9) + rest)


def _by_reading(rows: int, query: VectorQuery) -> float:
    return rows * (1 - _BATCHED + _BATCHED * len(query.vectors))


def by_index(
    query: VectorQuery, route: Route, exact: Callable[[VectorQuery], list[pa.Table]]
) -> Iterator[pa.Table]:
    """Yield what a search by an index finds for each query.

    Args:
        query: The search.
        route: How it goes.
        exact: Finds the nearest among some rows by reading them.
    """
    index = route.index
    assert index is not None
    wanted = query.k + query.offset
    rest = np.empty(0, np.int64) if query.index == "only" else index.rest
    masks: list[Mask | None] = [None] * len(index.parts)
    if route.passing is not None:
        rest = rest[np.isin(rest, route.passing, assume_unique=True)]
        masks = [np.isin(part.row_ids, route.passing) for part in index.parts]
    for at in range(len(query.vectors)):
        one = replace(query, vectors=query.vectors[at : at + 1], predicate=None)
        found, there = [rest], 0
        for part, mask in zip(index.parts, masks, strict=True):
            ids, most = _nearest(_library(index), part, mask, one, route.effort)
            found.append(ids)
            there += most
        ids = np.concatenate(found)
        if len(ids) - len(rest) < min(wanted, there):
            # The graph led nowhere: few of its rows pass, and they lie apart.
            every = [
                part.row_ids[_mask(part, mask)]
                for part, mask in zip(index.parts, masks, strict=True)
            ]
            ids = np.concatenate([rest, *every])
        yield from exact(replace(one, row_ids=ids))


def _mask(part: Covered[Any], passing: Mask | None) -> Mask | slice:
    if part.live is None:
        return slice(None) if passing is None else passing
    return part.live if passing is None else part.live & passing


def _nearest(
    library: VectorLibrary[Any],
    part: Covered[Any],
    passing: Mask | None,
    query: VectorQuery,
    effort: int,
) -> tuple[RowIds, int]:
    """Return ids that may be among the nearest, and how many there are to be found."""
    mask = _mask(part, passing)
    total = len(part.row_ids)
    count = total if isinstance(mask, slice) else int(np.count_nonzero(mask))
    if not count:
        return np.empty(0, np.int64), 0
    effort = min(total, effort * total // count)
    k = min(count, query.k + query.offset + _SPARE)
    vectors = np.ascontiguousarray(query.vectors, np.float32)
    places = library.nearest(
        part.piece,
        vectors,
        k,
        effort=max(effort, k),
        passing=None if isinstance(mask, slice) else mask,
    )
    return part.row_ids[places[places >= 0]], min(count, k)
