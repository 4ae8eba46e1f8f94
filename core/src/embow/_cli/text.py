"""Plain text laid out for a terminal."""

from __future__ import annotations

import codecs
import io
import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO

GAP = "  "
_MAX_WIDTH = 120
_PLAIN = {"─": "-", "…": "."}
"""What stands, at the same width, for signs that an output's encoding does not have."""


def print_anything(stream: TextIO) -> None:
    """Have a stream show what its encoding lacks by a plain sign, instead of failing."""
    codecs.register_error("embow.plain", _plain)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="embow.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign, "?") for sign in missing), error.end


def terminal_width() -> int:
    """Return the columns of the terminal, 80 where there is none, 120 at most."""
    return min(shutil.get_terminal_size((80, 24)).columns, _MAX_WIDTH)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return each row as a line, its cells padded to the widest of their column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (GAP.join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]


def wrapped(text: str, width: int, indent: str = "") -> str:
    """Return text in lines of at most ``width`` columns, each after ``indent``.

    Words longer than a line stay whole, so that a command can be copied.
    """
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
