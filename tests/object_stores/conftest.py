"""An S3 server (moto's) behind a proxy that counts and breaks requests."""

import logging
from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from tests.object_stores.proxy import StoreProxy, open_proxy

KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "aws_region": "us-east-1"}
_buckets = count(1)


class Bucket:
    """An empty bucket. Options lead through the proxy; `client` goes to the server itself."""

    def __init__(self, client: Any, proxy: StoreProxy) -> None:
        self.client = client
        self.proxy = proxy
        self.name = f"bucket-{next(_buckets)}"
        self.uri = f"s3://{self.name}"
        self.options = self.options_at(proxy.url)
        client.create_bucket(Bucket=self.name)

    @staticmethod
    def options_at(url: str) -> dict[str, str]:
        return {**KEYS, "aws_endpoint": url, "aws_allow_http": "true"}

    def listed(self) -> list[str]:
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])]

    def read(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def close(self) -> None:
        self.client.close()

    def key_of(self, uri: str) -> str:
        return urlsplit(uri).path.lstrip("/")


@pytest.fixture(scope="session")
def s3_client() -> Iterator[Any]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    server.stop()


@pytest.fixture
def bucket(s3_client: Any) -> Iterator[Bucket]:
    with open_proxy(s3_client.meta.endpoint_url) as proxy:
        yield Bucket(s3_client, proxy)
