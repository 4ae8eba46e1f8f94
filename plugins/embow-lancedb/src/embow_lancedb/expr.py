"""Conditions and values built in Python."""

from __future__ import annotations

from embow.expr import Expr, col, func, lit

__all__ = ["Expr", "col", "func", "lit"]
