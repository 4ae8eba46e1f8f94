"""The errors that LanceDB's users import. Others are embow's: see ``embow.errors``."""

from __future__ import annotations


class MissingValueError(ValueError):
    """A value that is needed was not given."""


class MissingColumnError(KeyError):
    """A column that is needed is not there."""

    def __init__(self, column_name: str) -> None:
        super().__init__(column_name)
        self.column_name = column_name

    def __str__(self) -> str:
        return f"There is no column {self.column_name!r}."


class JobFailedError(RuntimeError):
    """A job of LanceDB's service failed. Never raised here: there are no jobs."""


class JobCancelledError(RuntimeError):
    """A job of LanceDB's service was cancelled. Never raised here: there are no jobs."""


class JobNotFoundError(ValueError):
    """LanceDB's service has no such job. Never raised here: there are no jobs."""
