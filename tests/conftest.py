"""What every test of the core gets. Sockets are guarded by ``tests/support/loopback_only.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from embow.embeddings.lookup import SHARED


@pytest.fixture(autouse=True)
def own_config(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give each test, and the processes it starts, a user of its own: no key is shared."""
    folder = tmp_path_factory.mktemp("config")
    monkeypatch.setenv("EMBOW_CONFIG_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def registry_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register and reset as it likes: the next one finds what was there before."""
    monkeypatch.setattr(SHARED, "registered", dict(SHARED.registered))
