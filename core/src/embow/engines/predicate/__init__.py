"""Filters: SQL text parsed into one small tree that any engine can compile."""

from __future__ import annotations

from embow.engines.predicate.evaluate import evaluate
from embow.engines.predicate.expression import evaluate_expression
from embow.engines.predicate.parse import parse_predicate
from embow.engines.predicate.tree import Call, Column, Literal, Node, Op, Predicate

__all__ = [
    "Call",
    "Column",
    "Literal",
    "Node",
    "Op",
    "Predicate",
    "evaluate",
    "evaluate_expression",
    "parse_predicate",
]
