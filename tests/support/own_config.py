"""Pytest plugin: give each test a user of its own, whose key signs tables.

Loaded for all test folders by ``-p own_config`` in the root ``pyproject.toml``.
"""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_config(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give each test, and the processes it starts, a user of its own: no key is shared.

    Nor is anything kept among the files this machine's user has cached.
    """
    folder = tmp_path_factory.mktemp("config")
    monkeypatch.setenv("EMBOW_CONFIG_DIR", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    return folder
