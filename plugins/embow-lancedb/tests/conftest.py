"""Databases in a folder and in memory, and an embedding function that needs no model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embow_lancedb as lancedb
from embow_lancedb.embeddings import TextEmbeddingFunction, register
from embow_lancedb.table import LanceTable


@register("lancedb-lengths")
class Lengths(TextEmbeddingFunction):
    """Two numbers: letters, and words."""

    def ndims(self) -> int:
        """Return 2."""
        return 2

    def generate_embeddings(self, texts: list[str]) -> Any:
        """Count letters and words."""
        return np.array([[len(text), len(text.split())] for text in texts], np.float32)


@pytest.fixture(params=["folder", "memory"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[lancedb.DBConnection]:
    """A database of each engine."""
    with lancedb.connect(tmp_path / "db" if request.param == "folder" else "memory://") as db:
        yield db


@pytest.fixture
def fruit(db: lancedb.DBConnection) -> LanceTable:
    """Three fruits on a line: fig at 1, plum at 2, pear at 4."""
    rows = [
        {"name": "fig", "price": 3.0, "vector": [1.0, 0.0]},
        {"name": "plum", "price": 2.0, "vector": [2.0, 0.0]},
        {"name": "pear", "price": 1.0, "vector": [4.0, 0.0]},
    ]
    return db.create_table("fruit", rows)
