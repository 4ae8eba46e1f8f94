"""The embedded engine: an SQLite catalog, memory-mapped Arrow files, exact search by BLAS."""

from __future__ import annotations

from embow.engines._local.engine import LocalEngine

__all__ = ["LocalEngine"]
