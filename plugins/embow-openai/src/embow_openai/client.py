"""The SDK client of a function: one a process for each set of settings and keys."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from embow.embeddings import full_value, load_sdk, secret_mapping, secret_value
from embow.embeddings.remote import client_once
from embow.errors import ConfigurationError

if TYPE_CHECKING:
    from embow_openai.provider import OpenAIEmbeddings

NO_KEY = "not-needed"
"""Sent to servers that ask for no key: the SDK refuses to start without one."""


_SECRETS = {"api_key", "azure_ad_token"}


def client_for(function: OpenAIEmbeddings) -> Any:
    """Return the ``openai.OpenAI`` or ``openai.AzureOpenAI`` client of a function.

    Raises:
        MissingCredentialError: There is no key.
        ConfigurationError: Azure's endpoint or API version is missing.
        MissingSdkError: The SDK is not installed.
    """
    settings = _azure(function) if function.use_azure else _openai(function)
    headers = secret_mapping(function, "default_headers")
    secrets = {
        name: settings.pop(name) for name in ("api_key", "azure_ad_token") if name in settings
    }
    key = (
        "openai",
        function.use_azure,
        function.timeout,
        tuple(settings.items()),
        tuple(headers),
        os.environ.get("OPENAI_PROJECT_ID"),
    )

    def make() -> Any:
        sdk = load_sdk(function, "openai")
        kind = sdk.AzureOpenAI if function.use_azure else sdk.OpenAI
        return kind(
            **settings,
            **secrets,
            default_headers=headers or None,
            timeout=function.timeout,
            max_retries=0,  # the caller retries, and honours Retry-After
        )

    clear = [*(secrets[n] for n in sorted(secrets)), *headers.values()]
    return client_once(key, clear, make, lambda client: client.close())


def _openai(function: OpenAIEmbeddings) -> dict[str, Any]:
    base_url = full_value(function, "base_url") or os.environ.get("OPENAI_BASE_URL")
    key = secret_value(function, "api_key", env=("OPENAI_API_KEY",), required=base_url is None)
    return {
        "api_key": key or NO_KEY,
        "base_url": base_url,
        "organization": function.organization or os.environ.get("OPENAI_ORG_ID"),
    }


def _azure(function: OpenAIEmbeddings) -> dict[str, Any]:
    token = secret_value(function, "azure_ad_token", env=("AZURE_OPENAI_AD_TOKEN",), required=False)
    key = secret_value(function, "api_key", env=("AZURE_OPENAI_API_KEY",), required=token is None)
    endpoint = full_value(function, "azure_endpoint") or full_value(function, "base_url")
    return {
        "api_key": key,
        "azure_ad_token": token,
        "azure_endpoint": _need(endpoint, "azure_endpoint", "AZURE_OPENAI_ENDPOINT"),
        "api_version": _need(function.api_version, "api_version", "OPENAI_API_VERSION"),
        "organization": function.organization or os.environ.get("OPENAI_ORG_ID"),
    }


def _need(value: str | None, field: str, variable: str) -> str:
    found = value or os.environ.get(variable)
    if not found:
        raise ConfigurationError(
            f"Provider 'openai' with use_azure=True needs {field}: pass {field}=... to create() "
            f"or set the environment variable {variable}."
        )
    return found
