"""What a reranker is."""

from __future__ import annotations

import embow.rerankers

__getattr__ = embow.rerankers.__getattr__
