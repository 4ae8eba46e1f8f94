"""Cohere's reranker."""

from __future__ import annotations

import embow.rerankers

__getattr__ = embow.rerankers.__getattr__
