"""Names of types that LanceDB's annotations use."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from embow_lancedb.expr import Expr

QueryType: TypeAlias = Literal["vector", "fts", "hybrid", "auto"]
DistanceType: TypeAlias = Literal["l2", "cosine", "dot", "hamming"]
OnBadVectorsType: TypeAlias = Literal["error", "drop", "fill", "null"]
AddMode: TypeAlias = Literal["append", "overwrite"]
CreateMode: TypeAlias = Literal["create", "overwrite"]
VectorIndexType: TypeAlias = Literal[
    "IVF_FLAT", "IVF_SQ", "IVF_PQ", "IVF_HNSW_SQ", "IVF_HNSW_PQ", "IVF_HNSW_FLAT", "IVF_RQ"
]
ScalarIndexType: TypeAlias = Literal["BTREE", "BITMAP", "LABEL_LIST"]
Condition: TypeAlias = str | Expr
Values: TypeAlias = dict[str, Any]
