"""Pytest plugin: let an example of a property test take its time, on a busy machine too.

Loaded for all test folders by ``-p unhurried`` in the root ``pyproject.toml``. Without it,
Hypothesis fails an example that takes longer than 200 milliseconds.
"""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Take the deadline away, where Hypothesis is installed."""
    if config.pluginmanager.hasplugin("hypothesispytest"):
        from hypothesis import settings

        settings.register_profile("unhurried", settings(), deadline=None)
        settings.load_profile("unhurried")
