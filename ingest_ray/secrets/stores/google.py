"""Google Secret Manager, through Google's own client over REST, which forks safely. The login is the application's default one.

https://cloud.google.com/secret-manager/docs/access-secret-version, https://cloud.google.com/docs/authentication/application-default-credentials
"""

import re
import threading
from collections.abc import Callable
from typing import Any

import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.secretmanager_v1 import SecretManagerServiceClient

from ingest_ray.sdk.contracts import StoredSecret
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable

TIMEOUT_S = 10.0


def _connect(location: str | None) -> Any:
    options = {"api_endpoint": f"secretmanager.{location}.rep.googleapis.com"} if location else None
    return SecretManagerServiceClient(transport="rest", client_options=options)


class SecretManager:
    """A path is `projects/P/secrets/S`, of which the newest version is read, or goes on with `/versions/N`."""

    def __init__(self, connect: Callable[[str | None], Any] = _connect) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._clients: dict[str | None, Any] = {}

    def check(self, path: str) -> None:
        return

    def read(self, path: str) -> StoredSecret:
        location = re.match(r"projects/[^/]+/locations/([^/]+)/", path)
        name = path if "/versions/" in path else f"{path}/versions/latest"
        try:
            client = self._client(location.group(1) if location else None)
            answer = client.access_secret_version(request={"name": name}, timeout=TIMEOUT_S, retry=None)
        except (exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError) as error:
            raise SecretUnavailable(f"Google does not answer: {type(error).__name__}") from None
        except exceptions.NotFound:
            raise ConfigError("there is no such secret, or it has no version") from None
        except exceptions.GoogleAPICallError as error:
            raise ConfigError(
                f"Google refused: {type(error).__name__}", hint="the login needs roles/secretmanager.secretAccessor"
            ) from None
        except GoogleAuthError as error:
            if isinstance(error, TransportError) or error.retryable:
                raise SecretUnavailable(f"Google does not answer: {type(error).__name__}") from None
            raise ConfigError(
                f"there is no login for Google: {type(error).__name__}",
                hint="GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
            ) from None
        except (requests.RequestException, OSError) as error:
            raise SecretUnavailable(f"Google does not answer: {type(error).__name__}") from None
        try:
            return StoredSecret(answer.payload.data.decode())
        except UnicodeDecodeError:
            raise ConfigError("the secret is binary, and no text") from None

    def _client(self, location: str | None) -> Any:
        with self._lock:
            if location not in self._clients:
                self._clients[location] = self._connect(location)
            return self._clients[location]
