"""The SDK client of a function: one a process for each set of settings and keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from embow.embeddings import full_value, secret_mapping, secret_value
from embow.embeddings.remote import client_once
from embow.embeddings.transport import bounded_client
from embow.errors import ConfigurationError
from embow_openai.settings import OpenAISettings

NO_KEY = "not-needed"
"""Sent to servers that ask for no key: the SDK refuses to start without one."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client is made from.

    Attributes:
        azure: Whether Azure OpenAI is called.
        address: Where; ``None`` is OpenAI.
        timeout: Seconds one request may take.
        settings: Further arguments of the SDK's client.
        secrets: Those of them that are secret.
        headers: Headers sent with every request, secret too.
    """

    azure: bool
    address: str | None
    timeout: float
    settings: Mapping[str, str | None]
    secrets: Mapping[str, str | None] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def connection_of(function: OpenAISettings) -> Connection:
    """Return what the client is made from, with the keys of this moment.

    Raises:
        MissingCredentialError: There is no key.
        ConfigurationError: Azure's endpoint or API version is missing.
    """
    find = partial(secret_value, function)
    settings = {"organization": function.organization or os.environ.get("OPENAI_ORG_ID")}
    secrets: dict[str, str | None]
    if function.use_azure:
        token = find("azure_ad_token", env=("AZURE_OPENAI_AD_TOKEN",), required=False)
        key = find("api_key", env=("AZURE_OPENAI_API_KEY",), required=token is None)
        secrets = {"api_key": key, "azure_ad_token": token}
        endpoint = full_value(function, "azure_endpoint") or full_value(function, "base_url")
        address: str | None = _need(endpoint, "azure_endpoint", "AZURE_OPENAI_ENDPOINT")
        version = _need(function.api_version, "api_version", "OPENAI_API_VERSION")
        settings["api_version"] = version
    else:
        address = full_value(function, "base_url") or os.environ.get("OPENAI_BASE_URL")
        key = find("api_key", env=("OPENAI_API_KEY",), required=address is None)
        secrets = {"api_key": key or NO_KEY}
    headers = secret_mapping(function, "default_headers")
    return Connection(function.use_azure, address, function.timeout, settings, secrets, headers)


def client_for(connection: Connection, load: Callable[[str], ModuleType]) -> Any:
    """Return the ``openai.OpenAI`` or ``openai.AzureOpenAI`` client of a connection.

    Args:
        connection: What it is made from.
        load: Imports the SDK, or says how to install it.
    """
    key = (
        "openai",
        connection.azure,
        connection.address,
        connection.timeout,
        tuple(connection.settings.items()),
        tuple(connection.headers),
        os.environ.get("OPENAI_PROJECT_ID"),
    )

    def make() -> Any:
        sdk = load("openai")
        kind, where = (
            (sdk.AzureOpenAI, "azure_endpoint") if connection.azure else (sdk.OpenAI, "base_url")
        )
        timeout = connection.timeout
        # The SDK takes what follows "?" only apart from the path.
        parts = urlsplit(connection.address or "")
        return kind(
            **{where: urlunsplit(parts._replace(query="")) or None},
            default_query=dict(parse_qsl(parts.query)) or None,
            **connection.settings,
            **connection.secrets,
            default_headers=connection.headers or None,
            timeout=timeout,
            max_retries=0,  # the caller retries, and honours Retry-After
            http_client=bounded_client(sdk.DefaultHttpxClient, timeout, connection.address),
        )

    clear = [*connection.secrets.values(), *connection.headers.values()]
    return client_once(key, clear, make, lambda client: client.close())


def _need(value: str | None, field: str, variable: str) -> str:
    found = value or os.environ.get(variable)
    if not found:
        raise ConfigurationError(
            f"Provider 'openai' with use_azure=True needs {field}: pass {field}=... to create() "
            f"or set the environment variable {variable}."
        )
    return found
