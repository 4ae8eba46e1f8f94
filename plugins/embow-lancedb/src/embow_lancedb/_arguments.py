"""What LanceDB's calls take and embow's do not: accepted where it changes nothing, else refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Never

from embow.errors import ConfigurationError, UnsupportedOperationError


def deprecated(call: str, instead: str, *, stacklevel: int = 3) -> None:
    """Warn whoever called the caller that LanceDB deprecates what was called."""
    warnings.warn(
        f"{call} is deprecated in LanceDB: {instead}.", DeprecationWarning, stacklevel=stacklevel
    )


def no_namespace(path: Sequence[str] | None) -> None:
    """Accept the root, which is all there is.

    Raises:
        UnsupportedOperationError: A namespace is named.
    """
    if path:
        raise UnsupportedOperationError(
            f"namespace_path={list(path)!r}: a database has no namespaces. Use a database of its "
            "own for each, connect('./mydb/name'), or name tables 'name.table'."
        )


def no_values(call: str, why: str, **given: Any) -> None:
    """Accept arguments that are not set.

    Raises:
        UnsupportedOperationError: One is.
    """
    for name, value in given.items():
        if value not in (None, False):
            raise UnsupportedOperationError(f"{call}({name}=...) {why}")


def refused(call: str, why: str) -> Callable[..., Never]:
    """Return a method that says why there is no such thing here, and what to use."""

    def refuse(*_: Any, **__: Any) -> Never:
        raise UnsupportedOperationError(f"{call}: {why}")

    refuse.__name__ = refuse.__qualname__ = call
    refuse.__doc__ = f"Refuse: {why}"
    return refuse


def create_arguments(
    *,
    namespace_path: Sequence[str] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    data_storage_version: str | None = None,
    enable_v2_manifest_paths: bool | None = None,
    **given: Any,
) -> dict[str, Any]:
    """Return what embow's ``create_table`` takes of what LanceDB's does.

    Settings of Lance files have no counterpart and change nothing.
    """
    no_namespace(namespace_path)
    return {name: value for name, value in given.items() if value is not None}


def open_version(branch: str | None, version: int | str | None) -> int | str | None:
    """Return the version to open.

    Raises:
        UnsupportedOperationError: A branch is named.
    """
    if branch not in (None, "main"):
        raise UnsupportedOperationError(
            f"open_table(branch={branch!r}): tables have no branches. Versions can be named, "
            "table.tags.create(...), and opened, open_table(name, version=...)."
        )
    return version


def update_values(
    values: Mapping[str, Any] | None, values_sql: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the new values of an update, sure that there are some."""
    if (values is None) == (values_sql is None):
        raise ConfigurationError(
            "update takes either new values, update(where=..., values={'a': 1}), or expressions, "
            "update(where=..., values_sql={'a': 'a + 1'})."
        )
    return {"values": values, "values_sql": values_sql}
