"""The README's example runs, and its table is that of the code."""

from pathlib import Path

from embow.embeddings import get_registry
from embow_testing.pages import documented_settings, run_page, settings_of

README = Path(__file__).parents[1] / "README.md"


def test_the_example_prints_what_the_page_says(server, monkeypatch, tmp_path):
    """As printed, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COHERE_API_KEY", "key-of-the-test")
    monkeypatch.setenv("CO_API_URL", server.url)
    assert run_page(README) == []


def test_every_argument_is_in_the_table():
    """Names and meanings are those of the fields."""
    assert documented_settings(README) == settings_of(get_registry().get("cohere"))
