"""LanceDB's service, which is not here: its settings are taken, connecting to it is refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from embow.errors import ConfigurationError
from embow_lancedb.db import DBConnection

__all__ = [
    "ClientConfig",
    "RemoteDBConnection",
    "RetryConfig",
    "TimeoutConfig",
    "TlsConfig",
]


@dataclass
class RetryConfig:
    """How requests would be tried again."""

    retries: int | None = None
    connect_retries: int | None = None
    read_retries: int | None = None
    backoff_factor: float | None = None
    backoff_jitter: float | None = None
    statuses: list[int] | None = None


@dataclass
class TimeoutConfig:
    """How long requests would take at most."""

    timeout: timedelta | None = None
    connect_timeout: timedelta | None = None
    read_timeout: timedelta | None = None
    pool_idle_timeout: timedelta | None = None


@dataclass
class TlsConfig:
    """How a server would be told from others."""

    cert_file: str | None = None
    key_file: str | None = None
    ssl_ca_cert: str | None = None
    assert_hostname: bool = True


@dataclass
class ClientConfig:
    """Settings of a client. Taken by ``connect`` and not used."""

    user_agent: str | None = None
    retry_config: RetryConfig | None = None
    timeout_config: TimeoutConfig | None = None
    extra_headers: dict[str, str] | None = None
    id_delimiter: str | None = None
    tls_config: TlsConfig | None = None
    header_provider: Any = None
    user_id: str | None = None


class RemoteDBConnection(DBConnection):
    """A database of LanceDB's service: a name for ``isinstance``, of which there are none."""

    def __init__(self, db_url: str, *args: Any, **settings: Any) -> None:
        raise ConfigurationError(
            f"{db_url} is an address of LanceDB Cloud, which embow does not serve. Tables lie in a "
            "folder, connect('./mydb'), or where an engine plugin keeps them."
        )
