"""The Python examples of a Markdown page, run as a reader would, and its tables of settings.

A plugin's README is tested with two lines::

    assert run_page(README) == []
    assert documented_settings(README) == settings_of(MyEmbeddings)
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embow.embeddings import EmbeddingFunction

_FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_SETTING = re.compile(r"^\| `(\w+)` \| `.*?` \| (.*) \|$", re.MULTILINE)
_MODULE = "embow_page"


@dataclass(frozen=True, slots=True)
class Example:
    """One Python block of a page, with the output block right below it, if there is one."""

    code: str
    line: int
    output: str | None


@dataclass(frozen=True, slots=True)
class Surprise:
    """An example that printed something else than its page says."""

    line: int
    expected: str
    printed: str


def examples(page: Path) -> Iterator[Example]:
    """Yield the Python blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for fence, following in pairwise([*_FENCE.finditer(text), None]):
        if fence is None or fence["language"] != "python":
            continue
        output = None
        if following and following["language"] == "text":
            between = text[fence.end() : following.start()]
            output = following["code"] if not between.strip() else None
        yield Example(fence["code"], text.count("\n", 0, fence.start("code")), output)


def run_page(page: Path) -> list[Surprise]:
    """Run the examples of a page in order, as one program, in the current folder.

    Returns:
        The examples that printed something else than the page says.

    Raises:
        Exception: Whatever an example raises, with the page's own line numbers.
    """
    program = ModuleType(_MODULE)
    before = sys.modules.get(_MODULE)
    sys.modules[_MODULE] = program
    surprises = []
    try:
        for example in examples(page):
            code = compile("\n" * example.line + example.code, str(page), "exec")
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(code, program.__dict__)
            if example.output is not None and printed.getvalue() != example.output:
                surprises.append(Surprise(example.line, example.output, printed.getvalue()))
    finally:
        sys.modules.pop(_MODULE)
        if before is not None:
            sys.modules[_MODULE] = before
    return surprises


def documented_settings(page: Path) -> dict[str, str]:
    """Return the settings in the tables of a page: name, and what is said of it."""
    return dict(_SETTING.findall(page.read_text(encoding="utf-8")))


def settings_of(provider: type[EmbeddingFunction]) -> Mapping[str, str | None]:
    """Return the settings of a provider by the name users give, and their descriptions."""
    fields = provider.model_fields.items()
    return {info.alias or name: info.description for name, info in fields}
