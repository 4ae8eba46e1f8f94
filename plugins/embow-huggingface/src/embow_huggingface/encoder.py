"""A loaded encoder: one for each model, device and precision of a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from embow.embeddings import Role, TokenCounter
from embow_huggingface.colbert import Colbert
from embow_huggingface.pooling import Pooling, pool

if TYPE_CHECKING:
    from torch import Tensor

Row = dict[str, list[int]]
"""What the tokenizer says of one text: token ids, attention mask and what else the model takes."""

_NO_LIMIT = 1_000_000
"""Tokenizers without a limit state a huge one."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """A model with its tokenizer.

    Attributes:
        tokenizer: The model's tokenizer.
        model: The model, ready on its device.
        colbert: What the checkpoint adds, where it is one of ColBERT's and was asked for it.
        counter: Counts tokens, where the tokenizer can be copied.
        lock: Held while the tokenizer works, which keeps its limit inside.
    """

    tokenizer: Any
    model: Any
    colbert: Colbert | None
    counter: TokenCounter | None
    lock: threading.Lock

    @property
    def width(self) -> int:
        """Length of a vector."""
        if self.colbert is not None:
            return int(self.colbert.head.shape[0])
        return int(self.model.config.hidden_size)

    @property
    def max_tokens(self) -> int | None:
        """Tokens the model reads of one text, special ones included."""
        limits = [self.tokenizer.model_max_length, _positions(self.model)]
        known = [int(limit) for limit in limits if limit is not None and limit < _NO_LIMIT]
        return min(known, default=None)

    def embed(
        self,
        texts: list[str],
        *,
        pooling: Pooling,
        batch_size: int,
        max_length: int | None,
        normalize: bool,
    ) -> NDArray[np.float32]:
        """Return one vector a text, shape ``(len(texts), width)`` float32, in order."""
        import torch

        rows = self._tokenize(texts, max_length)
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        with torch.inference_mode():
            for places in _batches(rows, batch_size):
                inputs = self._collate([rows[place] for place in places])
                pooled = pool(self._forward(inputs), inputs["attention_mask"], pooling).float()
                if normalize:  # which half precision could not do exactly
                    pooled = torch.nn.functional.normalize(pooled, dim=1)
                vectors[places] = pooled.cpu().numpy()
        return vectors

    def embed_tokens(
        self, texts: list[str], role: Role, *, batch_size: int, max_length: int | None
    ) -> list[NDArray[np.float32]]:
        """Return for each text, in order, its tokens' vectors of length 1: ``(tokens, width)``."""
        import torch

        rows = self._rows_for_late_interaction(texts, role, max_length)
        found: list[Any] = [None] * len(texts)
        with torch.inference_mode():
            for places in _batches(rows, batch_size):
                inputs = self._collate([rows[place] for place in places])
                tokens = self._forward(inputs)
                if self.colbert is not None:
                    tokens = tokens @ self.colbert.head.T
                unit = torch.nn.functional.normalize(tokens.float(), dim=-1).cpu().numpy()
                for place, vectors in zip(places, unit, strict=True):
                    counted = self._counted(rows[place], role)
                    found[place] = vectors[: len(counted)][counted]
        return found

    # -- in here ------------------------------------------------------------------------

    def _tokenize(self, texts: list[str], max_length: int | None) -> list[Row]:
        limits = [n for n in (max_length, self.max_tokens) if n is not None]
        with self.lock:
            found = self.tokenizer(
                texts,
                truncation=bool(limits),
                max_length=min(limits, default=None),
                padding=False,
                return_attention_mask=True,
            )
        return [{key: found[key][n] for key in found} for n in range(len(texts))]

    def _rows_for_late_interaction(
        self, texts: list[str], role: Role, max_length: int | None
    ) -> list[Row]:
        colbert = self.colbert
        if colbert is None:
            return self._tokenize(texts, max_length)
        settings = colbert.settings
        length = max_length or settings.document_tokens
        if role == "query":
            length = settings.query_tokens
        length = min(length, self.max_tokens or length)
        mark = colbert.query_mark if role == "query" else colbert.document_mark
        rows = [_marked(row, mark) for row in self._tokenize(texts, length - 1)]
        if role == "query":
            seen = int(settings.attend_to_fill)
            rows = [_filled(row, settings.query_tokens, colbert.fill, seen) for row in rows]
        return rows

    def _counted(self, row: Row, role: Role) -> NDArray[np.bool_]:
        """Return which tokens of a row, padding left out, have a vector."""
        counted = np.ones(len(row["input_ids"]), dtype=np.bool_)
        if self.colbert is not None and role == "document":
            skipped = self.colbert.skipped
            counted = np.array([token not in skipped for token in row["input_ids"]])
        return counted

    def _collate(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Return rows as tensors on the model's device, padded on the right."""
        import torch

        longest = max(len(row["input_ids"]) for row in rows)
        padding = {
            "input_ids": self.tokenizer.pad_token_id or 0,
            "token_type_ids": self.tokenizer.pad_token_type_id,
        }
        return {
            key: torch.tensor(
                [row[key] + [padding.get(key, 0)] * (longest - len(row[key])) for row in rows],
                device=self.model.device,
            )
            for key in rows[0]
        }

    def _forward(self, inputs: dict[str, Tensor]) -> Tensor:
        states: Tensor = self.model(**inputs).last_hidden_state
        return states


def _batches(rows: Sequence[Row], size: int) -> Iterator[list[int]]:
    """Yield the places of rows of like length, the longest first: little padding is computed."""
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place]["input_ids"]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _marked(row: Row, mark: int) -> Row:
    """Return a row with one more token behind the first."""
    added = {"input_ids": mark, "attention_mask": 1}
    return {key: [*ids[:1], added.get(key, 0), *ids[1:]] for key, ids in row.items()}


def _filled(row: Row, length: int, token: int, seen: int) -> Row:
    """Return a row filled up to a length with a token, which the model may see or not."""
    missing = length - len(row["input_ids"])
    added = {"input_ids": token, "attention_mask": seen}
    return {key: [*ids, *[added.get(key, 0)] * missing] for key, ids in row.items()}


def _positions(model: Any) -> int | None:
    """Return how many positions a model has learnt, or ``None`` where they are not counted."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    # RoBERTa and its kin start counting behind the padding token's number.
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    reserved = getattr(table, "padding_idx", None)
    return positions if reserved is None else positions - reserved - 1
