"""The README's example runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from embow_testing.pages import run_page


def test_the_example_prints_what_the_page_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As printed, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    assert run_page(Path(__file__).parents[1] / "README.md") == []
