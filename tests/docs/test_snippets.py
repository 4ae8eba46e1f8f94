"""Every Python example in the README and the docs runs, and prints what the page says it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from embow.embeddings._lookup import SHARED
from embow_testing.pages import examples, run_page

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in ROOT.glob("docs/**/*.md") if "_build" not in path.parts),
]
WITH_EXAMPLES = [page for page in PAGES if page.exists() and list(examples(page))]


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in WITH_EXAMPLES]
)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The blocks of one page run in order, as one program in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SHARED, "registered", {})  # a page may use any name
    assert run_page(page) == []
