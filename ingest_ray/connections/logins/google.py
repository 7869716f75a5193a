"""IAM tokens of Google Cloud SQL: an access token of the application's default login, with the scope of logins.

https://cloud.google.com/sql/docs/postgres/iam-logins, https://cloud.google.com/sql/docs/mysql/iam-logins
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import google.auth
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from pydantic import JsonValue

from ingest_ray.sdk.contracts import LoginRequest
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable

SCOPE = "https://www.googleapis.com/auth/sqlservice.login"
LEAST_LIFE = timedelta(minutes=5)


def _default() -> Any:
    credentials, _ = google.auth.default(scopes=[SCOPE])
    return credentials


class CloudSqlLogin:
    """A token serves many connections until five minutes before its end, as Google's libraries keep it."""

    def __init__(self, find_credentials: Callable[[], Any] = _default) -> None:
        self._find_credentials = find_credentials
        self._lock = threading.Lock()
        self._credentials: Any = None

    def check(self, options: Mapping[str, JsonValue]) -> None:
        return

    def mint(self, request: LoginRequest) -> str:
        with self._lock:
            try:
                if self._credentials is None:
                    self._credentials = self._find_credentials()
                if not self._credentials.valid or _ends_soon(self._credentials.expiry):
                    self._credentials.refresh(Request())
            except GoogleAuthError as error:
                if isinstance(error, TransportError) or error.retryable:
                    raise SecretUnavailable(f"Google does not answer: {type(error).__name__}") from None
                raise ConfigError(
                    f"there is no login for Google: {type(error).__name__}",
                    hint="GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
                ) from None
            return str(self._credentials.token)


def _ends_soon(expiry: datetime | None) -> bool:
    """`expiry` is in UTC, without a zone."""
    return expiry is not None and expiry < datetime.now(UTC).replace(tzinfo=None) + LEAST_LIFE
