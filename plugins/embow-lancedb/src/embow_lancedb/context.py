"""Windows of text: rows that overlap, joined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from embow_lancedb.exceptions import MissingColumnError, MissingValueError


class Contextualizer:
    """Windows over the texts of a DataFrame.

    Example:
        ``contextualize(df).groupby("doc").text_col("sentence").window(3).stride(1).to_pandas()``
    """

    def __init__(self, raw_df: Any) -> None:
        self._frame = raw_df
        self._groupby: str | None = None
        self._text: str | None = None
        self._window: int | None = None
        self._stride: int | None = None
        self._least = 2

    def window(self, window: int) -> Self:
        """Join so many rows."""
        self._window = window
        return self

    def stride(self, stride: int) -> Self:
        """Begin a window every so many rows."""
        self._stride = stride
        return self

    def groupby(self, groupby: str) -> Self:
        """Let windows hold rows of one value of a column."""
        self._groupby = groupby
        return self

    def text_col(self, text_col: str) -> Self:
        """Name the column with the text."""
        self._text = text_col
        return self

    def min_window_size(self, min_window_size: int) -> Self:
        """Leave out windows of fewer rows at the end; 2 where this is not called."""
        self._least = min_window_size
        return self

    def to_pandas(self) -> Any:
        """Return a DataFrame of windows: the first row of each, with the text of all.

        Raises:
            MissingColumnError: There is no such column.
            MissingValueError: ``text_col``, ``window`` or ``stride`` was not called.
        """
        import pandas as pd

        text = self._text
        if text is None or self._window is None or self._stride is None:
            raise MissingValueError(
                "A column, a window and a stride are needed: "
                'contextualize(df).text_col("text").window(3).stride(1).'
            )
        for column in filter(None, (text, self._groupby)):
            if column not in self._frame.columns:
                raise MissingColumnError(column)
        groups = [self._frame]
        if self._groupby is not None:
            groups = [group for _, group in self._frame.groupby(self._groupby)]
        rows = [row for group in groups for row in self._windows(group, text)]
        return pd.DataFrame(rows, columns=self._frame.columns)

    def _windows(self, group: Any, text: str) -> Iterator[dict[str, Any]]:
        for start in range(0, len(group), self._stride or 1):
            rows = group.iloc[start : start + (self._window or 1)]
            if len(rows) >= self._least:
                yield {**rows.iloc[0].to_dict(), text: " ".join(rows[text])}


def contextualize(raw_df: Any) -> Contextualizer:
    """Begin windows over the texts of a DataFrame."""
    return Contextualizer(raw_df)
