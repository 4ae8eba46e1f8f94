"""The boto3 client of a function: one a process for each set of settings and credentials."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from embow.embeddings.remote import client_once

Load = Callable[[str], ModuleType]
"""Imports a module of boto3, or says how to install it."""

MAX_CONCURRENCY = 16

_SECRETS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
)
_SETTINGS = (
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "AWS_ENDPOINT_URL_STS",
)


@dataclass(frozen=True, slots=True)
class Route:
    """The way to Bedrock: settings of a function that a client is made from."""

    region: str
    profile_name: str | None
    assumed_role: str | None
    role_session_name: str
    endpoint_url: str | None
    timeout: float


def client_for(route: Route, load: Load) -> Any:
    """Return the ``bedrock-runtime`` client of a route.

    Credentials come from the profile, the environment, or wherever boto3 finds them, and those
    of an assumed role are renewed before they expire.
    """
    key = ("bedrock", route, tuple(os.environ.get(name) for name in _SETTINGS))
    secrets = [os.environ.get(name) for name in _SECRETS]
    return client_once(key, secrets, lambda: _open(route, load), lambda client: client.close())


def _open(route: Route, load: Load) -> Any:
    boto3 = load("boto3")
    config = load("botocore.config").Config(
        retries={"total_max_attempts": 1},  # the caller retries
        read_timeout=route.timeout,
        connect_timeout=min(10.0, route.timeout),
        max_pool_connections=2 * MAX_CONCURRENCY,
    )
    session = _session(route, load)
    if route.assumed_role is not None:
        session.register_component("credential_provider", _role(route, load))
    return boto3.Session(botocore_session=session).client(
        "bedrock-runtime",
        region_name=route.region,
        endpoint_url=route.endpoint_url,
        config=config,
    )


def _session(route: Route, load: Load) -> Any:
    return load("botocore.session").Session(profile=route.profile_name)


def _role(route: Route, load: Load) -> Any:
    """Return what gives a session the role's credentials, and new ones in time."""
    credentials = load("botocore.credentials")
    own = _session(route, load)
    source = own.get_credentials()
    if source is None:
        raise load("botocore.exceptions").NoCredentialsError
    fetcher = credentials.AssumeRoleCredentialFetcher(
        client_creator=partial(own.create_client, region_name=route.region),
        source_credentials=source,
        role_arn=route.assumed_role,
        extra_args={"RoleSessionName": route.role_session_name},
    )

    class AssumedRole(credentials.CredentialProvider):  # type: ignore[misc, name-defined]
        METHOD = "assume-role"
        CANONICAL_NAME = "custom-embow-assume-role"

        def load(self) -> Any:
            return credentials.DeferredRefreshableCredentials(
                refresh_using=fetcher.fetch_credentials, method=self.METHOD
            )

    return credentials.CredentialResolver(providers=[AssumedRole()])
