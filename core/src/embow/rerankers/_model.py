"""Rerankers that ask a model how well each text answers the query."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from embow.embeddings import Provider, operational
from embow.errors import DataError, UnknownColumnError, near_name
from embow.pipeline._scores import score_texts
from embow.rerankers._base import Reranker
from embow.rerankers._rows import ReturnScore, ranked


class ModelReranker(Provider, Reranker):
    """Order rows by what a model says of the query and each row's text.

    A subclass writes `scores`, and fields for its settings; keys, retries, limits and failures are
    those of any provider. A row whose text is null or blank is not sent; it has no score and comes
    last.
    """

    column: Annotated[str, operational] = Field(
        default="text", description="Column whose text is read."
    )
    return_score: Annotated[ReturnScore, operational] = Field(
        default="relevance",
        description='"relevance" for _relevance_score, "all" for _distance and _score too.',
    )

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a setting, or an attribute of a subclass's own, as one written for LanceDB does."""
        cls = type(self)
        own = not (name.startswith("_") or name in cls.model_fields or hasattr(cls, name))
        if own:
            vars(self)[name] = value
        else:
            super().__setattr__(name, value)

    @abstractmethod
    def scores(self, query: str, texts: list[str]) -> Any:
        """Return how well each text answers the query, in order, the greater the better.

        One number a text, ``(len(texts),)``. Scores of one query must compare, in whichever calls
        its texts went; they need not lie between 0 and 1. Texts are never empty, and no more than
        `limits` allows.
        """

    def columns_read(self) -> tuple[str, ...] | None:
        """Return the column of the text."""
        return (self.column,)

    def rerank_hybrid(self, query: str, vector_results: pa.Table, fts_results: pa.Table) -> Any:
        """Return the rows of both halves, each once, the best first."""
        return self._ordered(query, self.merge_results(vector_results, fts_results))

    def rerank_vector(self, query: str, vector_results: pa.Table) -> Any:
        """Return the rows, the best first."""
        return self._ordered(query, vector_results)

    def rerank_fts(self, query: str, fts_results: pa.Table) -> Any:
        """Return the rows, the best first."""
        return self._ordered(query, fts_results)

    def _ordered(self, query: str, rows: pa.Table) -> pa.Table:
        texts = self._texts(rows)
        there = [at for at, text in enumerate(texts) if text is not None and text.strip()]
        scores = np.full(len(texts), np.nan)
        if there:
            score = partial(self.scores, query)
            scores[there] = score_texts(self, score, [texts[at] or "" for at in there], query)
        return ranked(rows, scores, self.return_score)

    def _texts(self, rows: pa.Table) -> Sequence[str | None]:
        """Return the text of each row.

        Raises:
            UnknownColumnError: The column is not there.
            DataError: It is no text.
        """
        name, names = self.column, rows.schema.names
        if name not in names:
            raise UnknownColumnError(
                f"{type(self).__name__} reads column {name!r}, which is not there."
                f"{near_name(name, names)} Say which one holds the text: column='...'. "
                f"Columns: {', '.join(names)}."
            )
        column = rows.column(name)
        kind = column.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise DataError(
                f"{type(self).__name__} reads text, and column {name!r} is {kind}. Say which one "
                "holds the text: column='...'."
            )
        return column.to_pylist()  # type: ignore[no-any-return]
