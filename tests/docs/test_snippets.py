"""Every Python example in the README and the docs runs, and prints what the page says it prints."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from embow.embeddings import get_registry

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts),
]
FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One Python block of a page, with the output block right below it, if there is one."""

    code: str
    line: int
    output: str | None


def examples(page: Path) -> Iterator[Example]:
    """Yield the Python blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for fence, following in pairwise([*FENCE.finditer(text), None]):
        if fence is None or fence["language"] != "python":
            continue
        output = None
        if following and following["language"] == "text":
            between = text[fence.end() : following.start()]
            output = following["code"] if not between.strip() else None
        yield Example(fence["code"], text.count("\n", 0, fence.start("code")), output)


WITH_EXAMPLES = [page for page in PAGES if page.exists() and list(examples(page))]


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in WITH_EXAMPLES]
)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of one page run in order, as one program in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(get_registry(), "_classes", {})  # a page may use any name
    program = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", program)
    for example in examples(page):
        # Blank lines in front give errors the page's own line numbers.
        code = compile("\n" * example.line + example.code, str(page), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, program.__dict__)
        if example.output is not None:
            assert printed.getvalue() == example.output, f"{page.name}, line {example.line}"
