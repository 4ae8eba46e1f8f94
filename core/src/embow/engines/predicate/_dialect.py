"""The SQL dialect of expressions, for sqlglot. Imported when the first one is parsed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from sqlglot import parser, tokens
from sqlglot.dialects.dialect import Dialect

_OWN_SYNTAX = ("CAST", "EXTRACT", "POSITION", "SUBSTRING", "TRIM", "TRY_CAST")


class Filter(Dialect):
    """Standard SQL with double quotes and back-ticks around names, and ``x'00'`` for bytes.

    No function is known to the parser, so that each comes with its name and arguments as written.
    """

    class Tokenizer(tokens.Tokenizer):
        """Adds back-ticks and hexadecimal bytes."""

        IDENTIFIERS: ClassVar[list[str | tuple[str, str]]] = ['"', "`"]
        HEX_STRINGS: ClassVar[list[str | tuple[str, str]]] = [("x'", "'"), ("X'", "'")]

    class Parser(parser.Parser):
        """Leaves functions to `Builder`, but those with words among their arguments."""

        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        NO_PAREN_FUNCTIONS: ClassVar[dict[Any, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
            name: parser.Parser.FUNCTION_PARSERS[name] for name in _OWN_SYNTAX
        }
