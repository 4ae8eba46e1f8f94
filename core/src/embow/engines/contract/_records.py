"""What passes between an engine and the layer above: plain values, most of them picklable."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

import pyarrow as pa

from embow._processes import cached_property
from embow.engines.indexes import Definition, RowIds
from embow.errors import UnsupportedOperationError

ROW_ID = "_rowid"
DISTANCE = "_distance"
SCORE = "_score"
RELEVANCE = "_relevance_score"
RESERVED = (ROW_ID, DISTANCE, SCORE, RELEVANCE)
"""Columns that results bring; no column of a table may have one of these names."""

NAME_BYTES = 48
"""Longest name of a physical column."""

LEASE = timedelta(days=1)
"""How long staged rows are left alone where nothing else is said."""

RETENTION = timedelta(days=7)
"""How long versions are kept where nothing else is said."""


class Capability(enum.StrEnum):
    """What not every store can do. Each value completes the sentence "the engine has no ..."."""

    VERSIONS = "earlier versions"
    TAGS = "tags"
    RESTORE = "going back to an earlier version"
    RENAME_TABLE = "renaming of tables"
    ORDERED_SCAN = "order of rows"
    STABLE_ROW_IDS = "row ids that survive optimize()"
    FRAGMENTS = "fragments that are read one by one"
    REMOTE_WRITE = "staging of rows from another machine"
    VECTOR_INDEX = "vector index"
    TEXT_INDEX = "full-text index"
    MULTIVECTOR = "search of several vectors a row"


@dataclass(frozen=True, slots=True)
class Base:
    """What something was planned on.

    Attributes:
        table: Identity of the table: new at each creation, also under an old name.
        version: Version of the table, from 1. A commit makes it one more; a store whose
            ``optimize`` makes versions of its own may skip numbers.
    """

    table: str
    version: int


@dataclass(frozen=True, slots=True)
class Staged:
    """Rows, or the values of one physical column, that are written and named by nobody yet.

    Can be pickled and committed by another process. Holds no secret.

    Attributes:
        token: Names this write; committing it again, or in several processes at the same time,
            gives one commit. It is remembered for as long as its lease runs, at least.
        base: What it was written for. The rows may be committed on a later version.
        rows: How many.
        until: When the lease ends and ``optimize`` may remove it; aware, UTC. A store may grant
            less than was asked for.
        payload: The engine's own.
        column: The physical column whose values these are, ``None`` for rows.
    """

    token: str
    base: Base
    rows: int
    until: datetime
    payload: bytes
    column: str | None = None


_COLUMN = attrgetter("column")


@dataclass(frozen=True)
class Change:
    """One change of a table, made whole or not at all.

    Attributes:
        base: What it was planned on.
        add: Staged rows that come in, in this order, and staged columns.
        remove: Rows that go out. Each must still be there; a row that was changed has a new id,
            so what is there is unchanged.
        metadata: Entries to set; ``None`` removes one. Neither these nor staged columns go together
            with ``remove``.
        alone: Refuse if anything else was committed since ``base``. Where rows are added or
            removed and nothing else changes, an engine may let additions of others pass.
        columns: Columns that come in without values: null in every row but those of ``add`` that
            were written with them (``write(new=...)``). Like staged ones, they go behind those
            there are.
    """

    base: Base
    add: Sequence[Staged] = ()
    remove: RowIds | None = None
    metadata: Mapping[str, str | None] | None = None
    alone: bool = False
    columns: Sequence[pa.Field] = ()

    @cached_property
    def shapes(self) -> bool:
        """Whether it changes schema or metadata, and not only rows."""
        return self.metadata is not None or self.brings_columns

    @cached_property
    def brings_columns(self) -> bool:
        """Whether columns come in."""
        return bool(self.columns) or any(map(_COLUMN, self.add))


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit did.

    Attributes:
        version: Version of the table after it.
        rows_added: Rows that came in.
        rows_removed: Rows that went out.
    """

    version: int
    rows_added: int = 0
    rows_removed: int = 0


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a table.

    Attributes:
        version: Its number.
        timestamp: When it was made; aware, UTC.
        rows: Rows in it.
        operation: What made it, such as ``"create"``, ``"add"``, ``"change"``, ``"restore"``.
    """

    version: int
    timestamp: datetime
    rows: int
    operation: str


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """What ``optimize`` did.

    Attributes:
        fragments_before: Pieces the rows were in.
        fragments_after: Pieces they are in now.
        rows_dropped: Deleted rows whose data are gone.
        files_removed: Files that went.
        bytes_freed: Their size, and what else got smaller.
        versions_removed: Versions that can no longer be read.
        oldest_version: The oldest that still can.
        pieces_built: Pieces of indexes that were built.
    """

    fragments_before: int = 0
    fragments_after: int = 0
    rows_dropped: int = 0
    files_removed: int = 0
    bytes_freed: int = 0
    versions_removed: int = 0
    oldest_version: int = 1
    pieces_built: int = 0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What ``check`` found of what is stored.

    Attributes:
        damages: A sentence for each thing that is not as it was written; it names the file, if
            there is one, and the table.
        versions: Versions that were read whole.
        files: Files that were read whole.
        bytes: Their size.
    """

    damages: tuple[str, ...] = ()
    versions: int = 0
    files: int = 0
    bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.damages


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """One index of a table.

    Attributes:
        definition: What it is.
        rows: Rows of the current version that it covers.
        rest: Rows of the current version that are read without it.
        pieces: Pieces it is in.
        num_bytes: Their size, where they are files.
        trouble: Why it is not used, where it cannot be; a sentence.
    """

    definition: Definition
    rows: int
    rest: int
    pieces: int = 0
    num_bytes: int = 0
    trouble: str = ""


def require(capabilities: frozenset[Capability], wanted: Capability) -> None:
    """Refuse what an engine cannot do: the one place where capabilities are checked.

    Raises:
        UnsupportedOperationError: The sentence says what to use instead.
    """
    if wanted not in capabilities:
        raise UnsupportedOperationError(
            f"The engine of this database has no {wanted}. {_INSTEAD.get(wanted, _FOLDER)}"
        )


_FOLDER = "A database in a folder has: embow.connect('./mydb')."
_INSTEAD = dict.fromkeys(
    (Capability.VECTOR_INDEX, Capability.TEXT_INDEX),
    "No engine installed here has.",
)
