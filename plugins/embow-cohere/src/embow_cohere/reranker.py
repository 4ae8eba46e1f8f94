"""The ``cohere`` reranker."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from embow.embeddings import Limits
from embow.errors import BadOutputError
from embow.rerankers import ModelReranker
from embow_cohere.account import NO_RETRIES, CohereAccount

MAX_DOCUMENTS = 1000


class CohereReranker(CohereAccount, ModelReranker):
    """Order rows with Cohere's rerank models.

    ```python
    from embow.rerankers import CohereReranker

    table.search("query", query_type="hybrid").rerank(CohereReranker(model_name="rerank-v3.5"))
    ```
    """

    provider_id: ClassVar[str | None] = "cohere"
    remote: ClassVar[bool] = True

    model_name: str = Field(default="rerank-english-v3.0", description="Model.")
    max_tokens_per_doc: Annotated[int | None, Field(gt=0)] = Field(
        default=None, description="Tokens read of each text; Cohere's own limit if None."
    )

    def scores(self, query: str, texts: list[str]) -> Any:
        """Return how relevant Cohere finds each text, from 0 to 1."""
        options = {"max_tokens_per_doc": self.max_tokens_per_doc}
        answer = self._ask(
            lambda client: client.rerank(
                model=self.model_name,
                query=query,
                documents=texts,
                request_options=NO_RETRIES,
                **{name: value for name, value in options.items() if value is not None},
            )
        )
        return _in_order(getattr(answer, "results", None), len(texts))

    def limits(self) -> Limits:
        """Return Cohere's limits; a text that is too long is cut there."""
        return Limits(
            max_items=MAX_DOCUMENTS,
            max_concurrency=8,
            requests_per_minute=self.requests_per_minute,
        )


def _in_order(results: Any, count: int) -> Any:
    """Return the scores in the order of the texts; the answer has the best first."""
    scores = np.full(count, np.nan)
    try:
        places = [each.index for each in results]
        scores[places] = [each.relevance_score for each in results]
    except (TypeError, AttributeError, IndexError, ValueError) as exc:
        raise BadOutputError(f"Cohere's answer to a rerank request is no ranking: {exc}") from exc
    if np.isnan(scores).any():
        raise BadOutputError(f"Cohere ranked {len(places)} of {count} texts.")
    return scores
