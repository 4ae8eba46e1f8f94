"""Engines enter by the same door as providers, and are chosen by the scheme of a URI."""

from __future__ import annotations

from pathlib import Path

import pytest

from distributions import evaluate, install
from embow.plugins._engines import engine_for, scheme_of

ENGINE = """
    from embow.plugins import EngineSpec, hookimpl

    @hookimpl
    def embow_engines():
        return [EngineSpec(id={id!r}, target="some_engine:Engine", schemes=("some",), api={api})]
"""

ASK = """
    from embow.plugins._engines import engine_for
    try:
        answer = engine_for("some://host/db").__name__
    except Exception as exc:
        answer = [type(exc).__name__, str(exc)]
"""


def add_engine(site: Path, distribution: str, engine: str, api: int = 1) -> Path:
    """Install an engine for ``some://``."""
    module = distribution.replace("-", "_")
    modules = {module: ENGINE.format(id=engine, api=api), "some_engine": "class Engine: pass"}
    return install(site, distribution, modules, {engine: module})


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [
        ("mydb", ""),
        ("/a/b", ""),
        ("./a:b", ""),
        ("a:b", ""),
        (r"C:\data\db", ""),
        ("C:/data/db", ""),
        ("file:///a", "file"),
        ("file:a", "file"),
        ("S3://bucket/db", "s3"),
        ("postgresql+psycopg://u:p@h/db", "postgresql+psycopg"),
        (Path("x") / "y", ""),
    ],
)
def test_scheme_of_uri(uri: str | Path, scheme: str) -> None:
    """A scheme is what stands before ``:/``; paths, Windows drives included, have none."""
    assert scheme_of(uri) == scheme


def test_paths_are_served_by_the_local_engine() -> None:
    """The embedded engine comes with the core."""
    assert engine_for("some-folder").__name__ == "LocalEngine"


def test_unknown_scheme_names_what_there_is() -> None:
    """An address nobody serves is refused with the engines installed."""
    with pytest.raises(ValueError, match=r"serves zzz:// addresses\. Installed: .*local \(paths"):
        engine_for("zzz://host/db")


def test_engine_of_a_plugin_is_found(tmp_path: Path) -> None:
    """An installed engine serves its scheme."""
    assert evaluate(add_engine(tmp_path, "embow-some", "some"), ASK) == "Engine"


def test_two_engines_for_a_scheme_are_refused(tmp_path: Path) -> None:
    """Two engines that serve one scheme are both named."""
    add_engine(tmp_path, "embow-some", "some")
    kind, message = evaluate(add_engine(tmp_path, "embow-other", "other"), ASK)
    assert kind == "ProviderConflictError"
    assert "some (embow-some)" in message
    assert "other (embow-other)" in message


def test_two_distributions_of_one_engine_are_refused(tmp_path: Path) -> None:
    """Two distributions that offer one engine are both named."""
    add_engine(tmp_path, "embow-some", "some")
    kind, message = evaluate(add_engine(tmp_path, "embow-same", "some"), ASK)
    assert kind == "ProviderConflictError"
    assert "embow-same 1.0 and embow-some 1.0" in message


def test_incompatible_engine_says_so(tmp_path: Path) -> None:
    """An engine of another interface is refused, not handed out."""
    kind, message = evaluate(add_engine(tmp_path, "embow-some", "some", api=99), ASK)
    assert kind == "PluginBrokenError"
    assert "Engine 'some' is incompatible" in message
