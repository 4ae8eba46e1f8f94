"""The hidden columns and metadata that say where a vector came from.

Beside each vector column ``v`` that a function fills, the engine stores ``_embow_hash_v``: the
content hash of the source value the vector was made from, null where there was nothing to embed or
where the user brought the vector. The user never sees these columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import pyarrow as pa

HIDDEN_PREFIX = "_embow"
HASH_TYPE = pa.binary(16)


def hash_column(vector_column: str) -> str:
    """Return the name of the hidden column beside a vector column."""
    return f"{HIDDEN_PREFIX}_hash_{vector_column}"


def new_column(vector_column: str, fingerprint: str) -> str:
    """Return the hidden column that a migration fills, named after the model, for resuming."""
    return f"{HIDDEN_PREFIX}_new_{vector_column}_{fingerprint[:16]}"


def abandoned_columns(names: Iterable[str], vector_column: str, kept: str) -> list[str]:
    """Return the hidden columns of migrations that were given up for another function."""
    begun = re.compile(rf"{HIDDEN_PREFIX}_new_{re.escape(vector_column)}_[0-9a-f]{{16}}\Z")
    given_up = {name for name in names if begun.match(name) and name != kept}
    return [name for name in names if name in given_up | {hash_column(n) for n in given_up}]


def old_column(vector_column: str) -> str:
    """Return the hidden column that keeps the vectors from before the latest migration."""
    return f"{HIDDEN_PREFIX}_old_{vector_column}"


def is_hidden(name: str) -> bool:
    """Return whether a column or table belongs to embow and not to the user."""
    return name.startswith(HIDDEN_PREFIX)


def physical_schema(schema: pa.Schema, vector_columns: Iterable[str]) -> pa.Schema:
    """Return the schema as stored: the user's columns, then the hidden ones."""
    for name in vector_columns:
        if hash_column(name) not in schema.names:
            schema = schema.append(pa.field(hash_column(name), HASH_TYPE))
    return schema


def visible_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema as the user sees it."""
    fields = [field for field in schema if not is_hidden(field.name)]
    return pa.schema(fields, metadata=_visible_metadata(schema.metadata))


def _visible_metadata(metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    kept = {k: v for k, v in (metadata or {}).items() if not k.startswith(b"_embow")}
    return kept or None
