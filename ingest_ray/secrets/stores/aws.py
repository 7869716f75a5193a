"""AWS Secrets Manager, through botocore: region and login as its configuration has them (variables, profile, role of the machine).

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

import threading
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
)

from ingest_ray.sdk.contracts import StoredSecret
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable

_ONCE = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
_BUSY = ("InternalService", "Throttl", "TooManyRequests", "ServiceUnavailable", "RequestLimitExceeded", "SlowDown")


class SecretsManager:
    """A path is the name or the ARN of a secret; an ARN brings its region with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a session of botocore is for one thread
        self._clients: dict[str | None, Any] = {}

    def check(self, path: str) -> None:
        return

    def read(self, path: str) -> StoredSecret:
        try:
            answer = self._client(_region_of(path)).get_secret_value(SecretId=path)
        except ClientError as error:
            raise _refusal(error) from None
        except (ConnectionError, HTTPClientError) as error:
            raise SecretUnavailable(f"AWS does not answer: {type(error).__name__}") from None
        except BotoCoreError as error:  # no region, no login
            raise ConfigError(
                f"AWS cannot be asked: {error}", hint="set AWS_REGION and a login, as for the AWS command line"
            ) from None
        text = answer.get("SecretString")
        if text is None:
            text = _decoded(answer.get("SecretBinary", b""))
        return StoredSecret(text)

    def _client(self, region: str | None) -> Any:
        with self._lock:
            if region not in self._clients:
                session = botocore.session.get_session()
                self._clients[region] = session.create_client("secretsmanager", region_name=region, config=_ONCE)
            return self._clients[region]


def _region_of(path: str) -> str | None:
    parts = path.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 5 else None


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ConfigError("the secret is binary, and no text") from None


def _refusal(error: ClientError) -> ConfigError | SecretUnavailable:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= 500 or code.startswith(_BUSY):
        return SecretUnavailable(f"AWS does not answer: {code or status}")
    if code == "ResourceNotFoundException":
        return ConfigError(
            "there is no such secret in this account and region", hint="check name, AWS_REGION and login"
        )
    return ConfigError(
        f"AWS refused: {code}", hint="the login needs secretsmanager:GetSecretValue, and kms:Decrypt of its key"
    )
