"""What every test of the core gets. Sockets are guarded by ``tests/support/loopback_only.py``."""

from __future__ import annotations

import pytest

from embow.embeddings._lookup import SHARED


@pytest.fixture(autouse=True)
def registry_as_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register and reset as it likes: the next one finds what was there before."""
    monkeypatch.setattr(SHARED, "registered", dict(SHARED.registered))
