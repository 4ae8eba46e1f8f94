"""Baits that a stranger's table could name, and every provider it could ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from embow.embeddings._functions import FUNCTIONS
from embow.embeddings._lookup import SHARED
from hostile import CLASSES


@pytest.fixture
def bait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with all a stranger could leave there, importable and called a model."""
    folder = tmp_path / "bait"
    (folder / "org" / "model").mkdir(parents=True)
    (folder / "bait_module.py").write_text("raise SystemExit('code of the table was run')")
    (folder / "org" / "model" / "config.json").write_text("{}")
    (folder / "weights.pt").write_bytes(b"bait")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BAIT_SECRET", "s3cr3t-of-the-user")
    monkeypatch.setenv("EMBOW_CONFIG_DIR", str(tmp_path / "config"))
    return folder


@pytest.fixture(autouse=True)
def every_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tables find each provider whose code is here, and forget what a test makes."""
    for name, cls in CLASSES.items():
        monkeypatch.setitem(SHARED.registered, name, cls)
    for name in ("kept", "contested", "own"):
        monkeypatch.setattr(FUNCTIONS, name, type(getattr(FUNCTIONS, name))())
