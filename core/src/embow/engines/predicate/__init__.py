"""Filters and expressions, parsed into one small tree that any engine can compile."""

from __future__ import annotations

from embow.engines.predicate._evaluate import Expression, evaluate, evaluate_expression
from embow.engines.predicate._parse import parse_predicate
from embow.engines.predicate._tree import Call, Column, Literal, Node, Op, Predicate

__all__ = [
    "Call",
    "Column",
    "Expression",
    "Literal",
    "Node",
    "Op",
    "Predicate",
    "evaluate",
    "evaluate_expression",
    "parse_predicate",
]
