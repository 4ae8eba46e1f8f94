"""Pytest plugin: refuse every connection that would leave this machine.

Loaded for all test folders by ``-p loopback_only`` in the root ``pyproject.toml``. A test marked
``live`` talks to the vendor and is let through.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

import pytest


class LeftTheMachineError(RuntimeError):
    """A test tried to reach another host."""


def is_local(address: Any) -> bool:
    """Return whether an address, as given to ``connect``, stays on this machine."""
    if not isinstance(address, tuple):
        return True  # a Unix socket's path
    host = address[0]
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


def guard(connect: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``connect`` with a check of its address in front."""

    def checked(self: socket.socket, address: Any) -> Any:
        if not is_local(address):
            self.close()
            raise LeftTheMachineError(
                f"A test tried to connect to {address!r}. Tests reach loopback only; mark the "
                "test 'live' if it is meant to talk to a vendor."
            )
        return connect(self, address)

    return checked


@pytest.fixture(autouse=True)
def loopback_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard ``socket.connect`` for the length of one test."""
    if request.node.get_closest_marker("live") is None:
        for name in ("connect", "connect_ex"):
            monkeypatch.setattr(socket.socket, name, guard(getattr(socket.socket, name)))
