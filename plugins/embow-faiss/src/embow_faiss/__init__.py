"""Indexes of vectors by faiss: a graph whose pieces are files that never change."""

from embow_faiss.hnsw import HnswLibrary

__all__ = ["HnswLibrary"]
