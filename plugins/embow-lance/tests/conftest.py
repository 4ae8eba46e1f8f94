"""An object store on loopback, with real conditional puts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

KEY = "loopback-secret"


@dataclass(frozen=True)
class ObjectStore:
    """A server that speaks S3.

    Attributes:
        options: Storage options that lead to it; the secret is a reference.
        client: boto3's client, to make buckets and look into them.
    """

    options: dict[str, str]
    client: Any


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """Return a running store."""
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBOW_TEST_S3_SECRET", KEY)
        patch.setenv("NO_PROXY", host)
        client = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="tester",
            aws_secret_access_key=KEY,
        )
        options = {
            "aws_endpoint": address,
            "allow_http": "true",
            "aws_region": "us-east-1",
            "aws_access_key_id": "tester",
            "aws_secret_access_key": "$var:EMBOW_TEST_S3_SECRET",
        }
        yield ObjectStore(options, client)
    client.close()
    server.stop()
