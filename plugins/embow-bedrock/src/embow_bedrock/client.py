"""The boto3 client of a function: one a process for each set of settings and credentials."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from embow.embeddings import full_value, load_sdk
from embow.embeddings.remote import client_once

if TYPE_CHECKING:
    from embow_bedrock.provider import BedRockText

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


def client_for(function: BedRockText) -> Any:
    """Return the ``bedrock-runtime`` client of a function.

    Credentials come from the profile, the environment, or wherever boto3 finds them, and those
    of an assumed role are renewed before they expire.

    Raises:
        MissingSdkError: boto3 is not installed.
    """
    key = (
        "bedrock",
        function.region,
        function.profile_name,
        function.assumed_role,
        function.role_session_name,
        full_value(function, "endpoint_url"),
        function.timeout,
        tuple(os.environ.get(name) for name in _SETTINGS),
    )
    secrets = [os.environ.get(name) for name in _SECRETS]
    return client_once(key, secrets, lambda: _open(function), lambda client: client.close())


def _open(function: BedRockText) -> Any:
    boto3 = load_sdk(function, "boto3")
    config = load_sdk(function, "botocore.config").Config(
        retries={"total_max_attempts": 1},  # the caller retries
        read_timeout=function.timeout,
        connect_timeout=min(10.0, function.timeout),
        max_pool_connections=2 * MAX_CONCURRENCY,
    )
    session = _session(function)
    if function.assumed_role is not None:
        session.register_component("credential_provider", _role(function))
    return boto3.Session(botocore_session=session).client(
        "bedrock-runtime",
        region_name=function.region,
        endpoint_url=full_value(function, "endpoint_url"),
        config=config,
    )


def _session(function: BedRockText) -> Any:
    return load_sdk(function, "botocore.session").Session(profile=function.profile_name)


def _role(function: BedRockText) -> Any:
    """Return what gives a session the role's credentials, and new ones in time."""
    credentials = load_sdk(function, "botocore.credentials")
    own = _session(function)
    source = own.get_credentials()
    if source is None:
        raise load_sdk(function, "botocore.exceptions").NoCredentialsError
    fetcher = credentials.AssumeRoleCredentialFetcher(
        client_creator=partial(own.create_client, region_name=function.region),
        source_credentials=source,
        role_arn=function.assumed_role,
        extra_args={"RoleSessionName": function.role_session_name},
    )

    class AssumedRole(credentials.CredentialProvider):  # type: ignore[misc, name-defined]
        METHOD = "assume-role"
        CANONICAL_NAME = "custom-embow-assume-role"

        def load(self) -> Any:
            return credentials.DeferredRefreshableCredentials(
                refresh_using=fetcher.fetch_credentials, method=self.METHOD
            )

    return credentials.CredentialResolver(providers=[AssumedRole()])
