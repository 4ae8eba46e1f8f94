"""OpenAI's models."""

from __future__ import annotations

import embow.embeddings

__getattr__ = embow.embeddings.__getattr__
