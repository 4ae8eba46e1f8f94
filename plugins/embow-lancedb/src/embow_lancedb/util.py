"""Helpers that LanceDB's users import."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pyarrow as pa

from embow.errors import ConfigurationError


def flatten_columns(tbl: pa.Table, flatten: int | bool | None = None) -> pa.Table:
    """Return a table with a column for each field of its structs.

    Args:
        tbl: The table.
        flatten: How deep: ``True`` for all the way, ``None`` or ``False`` for not at all.
    """
    if flatten is None or flatten is False:
        return tbl
    if flatten is not True and (not isinstance(flatten, int) or flatten < 1):
        raise ConfigurationError(
            f"flatten={flatten!r:.60}: please specify a positive integer for flatten, or True."
        )
    depth = 0
    while any(map(pa.types.is_struct, tbl.schema.types)) and (flatten is True or depth < flatten):
        tbl, depth = tbl.flatten(), depth + 1
    return tbl


def attempt_import_or_raise(module: str, mitigation: str | None = None) -> ModuleType:
    """Return a module.

    Raises:
        ImportError: It is not installed; the message names ``mitigation``, or the module.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise ImportError(f"{module} is not installed: pip install {mitigation or module}") from exc


def value_to_sql(value: Any) -> str:
    """Return a constant as SQL. Bound values need none: ``where(sql("a = ?", value))``."""
    return _literal(value.as_py() if isinstance(value, pa.Scalar) else value)


def _literal(value: Any) -> str:
    import datetime

    import numpy as np

    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int() | float():
            return repr(value)
        case str():
            return "'" + value.replace("'", "''") + "'"
        case bytes():
            return f"X'{value.hex()}'"
        case datetime.datetime():
            return f"'{value.isoformat()}'"
        case datetime.date():
            return f"'{value.isoformat()}'"
        case list() | tuple():
            return f"[{', '.join(map(_literal, value))}]"
    raise ConfigurationError(f"{type(value).__name__} cannot be written as SQL.")
