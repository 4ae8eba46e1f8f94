"""The guard that keeps tests from reaching other machines."""

import socket

import pytest

OUTSIDE = ("192.0.2.1", 80)  # reserved for documentation: never answers


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_connecting_to_another_host_is_refused(method: str) -> None:
    """A connection that would leave the machine fails at once and says why."""
    with socket.socket() as client, pytest.raises(RuntimeError, match="loopback only"):
        getattr(client, method)(OUTSIDE)


def test_connecting_to_loopback_is_allowed() -> None:
    """A server on 127.0.0.1 can be reached."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
