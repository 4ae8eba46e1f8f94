"""Indexes: data derived from rows, made and read by libraries that plug in.

An engine keeps a table's rows and knows nothing of graphs or words; a library knows nothing of
tables. Between them are **pieces**. A piece covers the rows of one column whose ids are in a range.
Row ids only grow and a changed row gets a new one, so a piece is right for every version for ever:
what was deleted and what a filter leaves out are masks at the search, and rows that no piece covers
are read as if there were no index. So answers are never stale and no commit waits for an index.

The rows of a piece have **places**: 0, 1, 2 and so on, in the order of their ids. Rows whose value
is null have none. A library speaks of places only; the engine keeps which row is at which.

A library is a subclass of `VectorLibrary`, or of `Library` for another kind of question. It is
offered by the hook ``embow_indexes`` of a plugin as an ``IndexSpec``, whose id is the kind. It is
asked for with the settings of one definition and the type of the column:

* `Library.build` makes a piece of values, behind the rows of pieces there are already. It pulls
  them, so what it takes of memory is its own, and an exception that comes from there ends it.
* `Library.write` and `Library.read`: a piece as bytes. An engine has verified a checksum before
  `read` sees any, but whoever made the file made its checksum too.
* `Library.fingerprint`: pieces written under another one are not read but built anew.

A search asks the snapshot for the index of a column, a `Covering`: the pieces with their rows, and
the ids of the rows that no piece covers. Full text plugs in here: a subclass of `Library` whose
pieces are segments, `Covered.live` is the mask that says which rows count, and what `Covering.rest`
names is read by id and analysed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow._processes import cached_property
from embow.errors import ConfigurationError

P = TypeVar("P")

RowIds = NDArray[np.int64]
"""Row ids, int64. They only grow; one is never given to another row, nor to a changed one."""

Mask = NDArray[np.bool_]
Step = Callable[[int], None]
"""Called with a number of rows after so many were indexed; what it raises ends the work."""


class Sink(Protocol):
    """Takes bytes, one after another."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Take all of them; return how many."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What an index is.

    Attributes:
        name: Its name in the table.
        kind: Which library builds it.
        column: Physical column, or the path of a field within: ``image.small``.
        settings: What the library is made with; plain JSON.
    """

    name: str
    kind: str
    column: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Kept(Generic[P]):
    """A piece whose rows go into a new one.

    Attributes:
        piece: The piece.
        places: Which of its places stay, ascending; ``None`` for all.
    """

    piece: P
    places: NDArray[np.intp] | None = None


class Library(ABC, Generic[P]):
    """Builds, writes and reads the pieces of one definition.

    Args:
        settings: Of the definition.
        column: Type of the column.

    Raises:
        ConfigurationError: A setting has no such value, or no such column can be indexed.
    """

    least = 1
    """Rows without a piece from which one is worth building; fewer are read as they are."""

    most = 2**20
    """Rows of one piece that others are still joined with."""

    @abstractmethod
    def __init__(self, settings: Mapping[str, Any], column: pa.DataType) -> None: ...

    @abstractmethod
    def fingerprint(self) -> str:
        """Return what differs between libraries or settings whose pieces do not go together."""

    @abstractmethod
    def build(self, values: Iterable[pa.Array], onto: Sequence[Kept[P]], step: Step) -> P:
        """Return one piece: the rows kept of some pieces, in their order, then those of values.

        Args:
            values: Values of the column, without nulls.
            onto: Pieces, which stay as they are.
            step: To be called after each few rows that cost time.
        """

    @abstractmethod
    def write(self, piece: P, sink: Sink) -> None:
        """Write a piece."""

    @abstractmethod
    def read(self, data: memoryview, rows: int) -> P:
        """Return a piece that was written; the memory stays as it is for as long as it lives.

        Raises:
            ValueError: The bytes are none of so many rows.
        """


class VectorLibrary(Library[P]):
    """Finds rows whose vectors are near to others'."""

    @property
    @abstractmethod
    def metric(self) -> str:
        """The distance that the pieces are built for."""

    @abstractmethod
    def nearest(
        self,
        piece: P,
        vectors: NDArray[np.float32],
        k: int,
        *,
        effort: int,
        passing: Mask | None,
    ) -> NDArray[np.intp]:
        """Return places of rows that are likely to be the nearest of each vector.

        The caller computes the distances of what is found from the vectors of the table, so the
        order does not matter, and what is missed is all that is lost.

        Args:
            piece: Where to look.
            vectors: Queries, shape ``(queries, dimensions)``, finite.
            k: Places wanted of each.
            effort: How many places to consider, at least ``k``: more find more.
            passing: Which places may be found; ``None`` for all.

        Returns:
            Shape ``(queries, k)``, -1 where there is none.
        """


@dataclass(frozen=True, eq=False)
class Covered(Generic[P]):
    """A piece, and what its places mean in one version of a table.

    Attributes:
        piece: The piece.
        row_ids: Row id at each place, ascending.
        live: Which places are rows of the version; ``None`` for all.
    """

    piece: P
    row_ids: RowIds
    live: Mask | None = None

    @cached_property
    def rows(self) -> int:
        """Number of places that are rows of the version."""
        return len(self.row_ids) if self.live is None else int(np.count_nonzero(self.live))


@dataclass(frozen=True, eq=False)
class Covering(Generic[P]):
    """An index, as one version of a table has it.

    Attributes:
        definition: What it is.
        library: What reads its pieces; ``None`` where it cannot be had.
        parts: The pieces, by row.
        rest: Ids of the rows of the version that have no piece, ascending.
        trouble: Sentences: why some or all rows are read without the index although it was built.
        source: What tells the column from another one that had its name.
    """

    definition: Definition
    library: Library[P] | None
    parts: tuple[Covered[P], ...]
    rest: RowIds
    trouble: str = ""
    source: Hashable = None

    @cached_property
    def rows(self) -> int:
        """Number of rows of the version that a piece covers."""
        return sum(part.rows for part in self.parts)


Libraries = Callable[[str], "type[Library[Any]]"]
"""Returns the library of a kind of index; raises where it is not installed."""


def no_libraries(kind: str) -> type[Library[Any]]:
    """Refuse every kind: of an engine that was opened without the plugins."""
    raise ConfigurationError(
        f"No library for an index of kind {kind!r} is at hand: open the database with "
        "embow.connect, which finds what is installed."
    )
