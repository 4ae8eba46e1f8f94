"""The contract of a storage engine: snapshots that are read, rows that are staged, one commit.

Three ideas carry it. A **snapshot** is one version of a table, readable for as long as it is held.
**Staged** rows are written durably and seen by nobody. A **commit** makes them part of the table if
what it was planned on still holds, and changes nothing otherwise.

An engine never sees an embedding function. It stores physical columns, whose names begin with a
letter or ``_``, hold only letters, digits and ``_``, and have at most `NAME_BYTES` bytes; what they
are called by users is kept in the table's metadata by the layer above.

An author subclasses `Engine`, `EngineTable` and `Snapshot` and writes their abstract methods.
Everything that can be said once for all engines (checks of a query, filters a store cannot
compile, the retry loop, refusing what is not there) is here and calls the methods that begin with
an underscore.
"""

from __future__ import annotations

from embow.engines._paths import column_of, fields_of, renamed
from embow.engines.contract._columns import check_columns, check_path
from embow.engines.contract._distances import (
    differing_bits,
    exact_distances,
    least_of_rows,
    row_distances,
    wanted_distances,
)
from embow.engines.contract._engine import Durability, Engine, EngineOptions
from embow.engines.contract._history import check_tag
from embow.engines.contract._indexed import check_index
from embow.engines.contract._kinds import (
    Metric,
    RowVectors,
    VectorKind,
    is_vector,
    row_vectors,
    vector_kind,
    vector_kinds,
)
from embow.engines.contract._queries import (
    ScanQuery,
    TextQuery,
    VectorQuery,
    check_schema,
    check_table_name,
    is_physical,
    with_columns,
)
from embow.engines.contract._records import (
    DISTANCE,
    LEASE,
    NAME_BYTES,
    RELEVANCE,
    RESERVED,
    RETENTION,
    ROW_ID,
    SCORE,
    Base,
    Capability,
    Change,
    CheckReport,
    Commit,
    IndexInfo,
    OptimizeReport,
    Staged,
    Version,
    require,
)
from embow.engines.contract._routes import WORTH, Route
from embow.engines.contract._rows import conform, ending, row_ids_of
from embow.engines.contract._snapshot import Snapshot
from embow.engines.contract._table import EngineTable
from embow.engines.indexes import RowIds

__all__ = [
    "DISTANCE",
    "LEASE",
    "NAME_BYTES",
    "RELEVANCE",
    "RESERVED",
    "RETENTION",
    "ROW_ID",
    "SCORE",
    "WORTH",
    "Base",
    "Capability",
    "Change",
    "CheckReport",
    "Commit",
    "Durability",
    "Engine",
    "EngineOptions",
    "EngineTable",
    "IndexInfo",
    "Metric",
    "OptimizeReport",
    "Route",
    "RowIds",
    "RowVectors",
    "ScanQuery",
    "Snapshot",
    "Staged",
    "TextQuery",
    "VectorKind",
    "VectorQuery",
    "Version",
    "check_columns",
    "check_index",
    "check_path",
    "check_schema",
    "check_table_name",
    "check_tag",
    "column_of",
    "conform",
    "differing_bits",
    "ending",
    "exact_distances",
    "fields_of",
    "is_physical",
    "is_vector",
    "least_of_rows",
    "renamed",
    "require",
    "row_distances",
    "row_ids_of",
    "row_vectors",
    "vector_kind",
    "vector_kinds",
    "wanted_distances",
    "with_columns",
]
