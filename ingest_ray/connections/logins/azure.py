"""Tokens of Microsoft Entra ID (Azure Active Directory) for Azure's databases.

https://learn.microsoft.com/en-us/azure/postgresql/flexible-server/how-to-configure-sign-in-azure-ad-authentication
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential
from pydantic import JsonValue

from ingest_ray.sdk.contracts import LoginRequest
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable

SCOPE = "https://ossrdbms-aad.database.windows.net/.default"


def _default(client_id: str | None) -> Any:
    return DefaultAzureCredential(managed_identity_client_id=client_id) if client_id else DefaultAzureCredential()


class EntraLogin:
    """Options: `scope`, for clouds of their own; `client_id` of a managed identity. The library renews a token in time."""

    def __init__(self, find_credential: Callable[[str | None], Any] = _default) -> None:
        self._find_credential = find_credential
        self._lock = threading.Lock()
        self._credentials: dict[str | None, Any] = {}

    def check(self, options: Mapping[str, JsonValue]) -> None:
        return

    def mint(self, request: LoginRequest) -> str:
        client_id = request.options.get("client_id")
        with self._lock:
            try:
                key = str(client_id) if client_id else None
                if key not in self._credentials:
                    self._credentials[key] = self._find_credential(key)
                return str(self._credentials[key].get_token(str(request.options.get("scope") or SCOPE)).token)
            except (ServiceRequestError, ServiceResponseError) as error:
                raise SecretUnavailable(f"Azure does not answer: {type(error).__name__}") from None
            except (ClientAuthenticationError, CredentialUnavailableError, ValueError) as error:
                raise ConfigError(
                    f"there is no login for Azure: {type(error).__name__}",
                    hint="AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, a managed identity, or `az login`",
                ) from None
