"""The SQL dialect of filters, for sqlglot. Imported when the first filter is parsed."""

from __future__ import annotations

from typing import ClassVar

from sqlglot import tokens
from sqlglot.dialects.dialect import Dialect


class Filter(Dialect):
    """Standard SQL with double quotes and back-ticks around names, and ``x'00'`` for bytes."""

    class Tokenizer(tokens.Tokenizer):
        """Adds back-ticks and hexadecimal bytes."""

        IDENTIFIERS: ClassVar[list[str | tuple[str, str]]] = ['"', "`"]
        HEX_STRINGS: ClassVar[list[str | tuple[str, str]]] = [("x'", "'"), ("X'", "'")]
