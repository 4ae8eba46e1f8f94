"""What the builders of queries have in common, whether their results are awaited or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Self, get_args

from embow.errors import ConfigurationError, near_name
from embow.expr import Condition
from embow.rerankers import Reranker
from embow_lancedb._arguments import refused
from embow_lancedb._told import ColumnOrdering, Query
from embow_lancedb.types import DistanceType

_NO_FRAGMENTS = "rows are not addressed by fragment. Choose rows with where(...)."


class Building:
    """A query being described. Every method returns the query, so that calls chain.

    Attributes:
        table: embow's table that is asked.
        told: What was asked for.
    """

    def __init__(self, table: Any, told: Query) -> None:
        self.table = table
        self.told = told

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.told!r})"

    def select(self, columns: Sequence[str] | Mapping[str, Condition] | None) -> Self:
        """Return only these columns, or these expressions by the name they get."""
        self.told.columns = columns
        return self

    def limit(self, limit: int | None) -> Self:
        """Return at most so many rows; of a scan all of them for ``None`` and what is below 1."""
        none = limit is None or limit < 1
        if none and self.told.kind == "vector":
            raise ConfigurationError("Limit is required for ANN/KNN queries: limit(10).")
        self.told.limit = None if none else limit
        return self

    def offset(self, offset: int | None) -> Self:
        """Leave out so many rows at the beginning."""
        self.told.offset = max(offset or 0, 0)
        return self

    def order_by(self, ordering: ColumnOrdering | Iterable[ColumnOrdering] | None) -> Self:
        """Sort by columns, the first one first."""
        given = [ordering] if isinstance(ordering, ColumnOrdering) else list(ordering or ())
        self.told.order_by = given
        return self

    def to_query_object(self) -> Query:
        """Return what was asked for."""
        return deepcopy(self.told)

    def _reranked(
        self,
        reranker: Reranker,
        query_string: str | None = None,
        normalize: str | None = None,
    ) -> Self:
        self.told.reranker, self.told.query_string = reranker, query_string
        self.told.normalize = normalize
        return self

    def use_lsm(self, enable: bool) -> Self:
        """Change nothing: rows are found from the moment they are committed."""
        return self

    def with_row_address(self, with_row_address: bool = True) -> Self:
        """Refuse: rows have ids, ``with_row_id``, and no addresses."""
        if with_row_address:
            refused("with_row_address", "rows have ids, with_row_id(True), and no addresses.")()
        return self

    fragment_ids = refused("fragment_ids", _NO_FRAGMENTS)
    with_fragments = refused("with_fragments", _NO_FRAGMENTS)


class Nearest(Building):
    """A query that measures distances."""

    def distance_type(self, distance_type: str) -> Self:
        """Choose ``"l2"`` (squared, the default), ``"cosine"``, ``"dot"`` or ``"hamming"``."""
        name, known = str(distance_type).lower(), get_args(DistanceType)
        if name not in known:
            raise ConfigurationError(
                f"Invalid distance type {distance_type!r:.60}.{near_name(name, known)} "
                f"Must be one of {', '.join(known)}."
            )
        self.told.distance_type = name
        return self

    def distance_range(
        self, lower_bound: float | None = None, upper_bound: float | None = None
    ) -> Self:
        """Keep rows with ``lower_bound <= _distance < upper_bound``."""
        self.told.lower_bound, self.told.upper_bound = lower_bound, upper_bound
        return self

    def nprobes(self, nprobes: int) -> Self:
        """Set how many parts of an index are looked at."""
        return self.minimum_nprobes(nprobes)._tuned(maximum_nprobes=nprobes)

    def minimum_nprobes(self, minimum_nprobes: int) -> Self:
        """Set how many parts of an index are looked at in any case."""
        if minimum_nprobes < 1:
            raise ConfigurationError("minimum_nprobes must be greater than 0.")
        return self._tuned(minimum_nprobes=minimum_nprobes)

    def maximum_nprobes(self, maximum_nprobes: int) -> Self:
        """Set how many parts of an index are looked at where too few rows were found; 0 for all."""
        least = self.told.tuning.get("minimum_nprobes", 1)
        if maximum_nprobes and maximum_nprobes < least:
            raise ConfigurationError(
                f"maximum_nprobes must be greater than or equal to minimum_nprobes, {least}."
            )
        return self._tuned(maximum_nprobes=maximum_nprobes)

    def refine_factor(self, refine_factor: int) -> Self:
        """Set how many times more rows an index offers than are wanted."""
        return self._tuned(refine_factor=refine_factor)

    def ef(self, ef: int) -> Self:
        """Set how many rows a graph index keeps in view."""
        return self._tuned(ef=ef)

    def bypass_vector_index(self) -> Self:
        """Search without an index, exactly."""
        return self._tuned(bypass_vector_index=True)

    def fast_search(self) -> Self:
        """Take what an index has."""
        return self._tuned(fast_search=True)

    def _tuned(self, **tuning: Any) -> Self:
        self.told.tuning |= tuning
        return self
