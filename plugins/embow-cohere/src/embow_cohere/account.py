"""What everything that calls Cohere shares: the account, the client, the words of its errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from operator import methodcaller
from typing import Any

from pydantic import Field, SecretStr

from embow.embeddings import (
    Failure,
    Provider,
    full_value,
    load_sdk,
    record_request,
    secret_value,
)
from embow.embeddings.answers import readable
from embow.embeddings.remote import PerMinute, ServerAddress, Timeout, client_once
from embow.embeddings.transport import bounded_client
from embow_cohere import failures

NO_RETRIES = {"max_retries": 0}
"""Options of a request: the caller retries, and honours Retry-After."""


class CohereAccount(Provider):
    """Settings of an account, and calls by its client."""

    api_key: SecretStr | None = Field(
        default=None, description="Key. Default: COHERE_API_KEY, CO_API_KEY."
    )
    base_url: ServerAddress = Field(
        default=None, description="Address of a private deployment. Default: CO_API_URL, Cohere's."
    )
    timeout: Timeout = 120.0
    requests_per_minute: PerMinute = Field(
        default=None, description="Limit of your account, which Cohere does not report."
    )

    def classify(self, error: BaseException) -> Failure:
        """Read the SDK's errors; everything else as usual."""
        return failures.classify(error) or super().classify(error)

    def _ask(self, call: Callable[[Any], Any]) -> Any:
        """Return what one request of the client is answered."""
        client = self._client()
        record_request()
        with readable("Cohere"), failures.without_headers():
            return call(client)

    def _client(self) -> Any:
        key = secret_value(self, "api_key", env=("COHERE_API_KEY", "CO_API_KEY"))
        base_url = full_value(self, "base_url") or os.environ.get("CO_API_URL")

        def make() -> Any:
            kind = load_sdk(self, "cohere").ClientV2
            http = load_sdk(self, "httpx").Client  # the SDK calls it, and takes one of ours
            timeout = self.timeout
            own = bounded_client(http, timeout, base_url, follow_redirects=True)
            return kind(api_key=key, base_url=base_url, timeout=timeout, httpx_client=own)

        # The client has no close(), only a context manager.
        leave = methodcaller("__exit__", None, None, None)
        return client_once(("cohere", base_url, self.timeout), [key], make, leave)
