"""Azure Key Vault: one request of its documented interface, with a token of azure-identity's default login.

https://learn.microsoft.com/en-us/rest/api/keyvault/secrets/get-secret/get-secret
"""

import threading
from typing import Any

import requests
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential

from ingest_ray.sdk.contracts import StoredSecret
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable

TIMEOUT_S = (5.0, 10.0)
SCOPE = "https://vault.azure.net/.default"
ADDRESS = "https://{}.vault.azure.net"


class KeyVault:
    """A path is the name of a vault and that of a secret, of which the newest version is read, or goes on with a version."""

    def __init__(self, credential: Any = None, address: str = ADDRESS) -> None:
        self._credential = credential
        self._address = address
        self._lock = threading.Lock()

    def check(self, path: str) -> None:
        return

    def read(self, path: str) -> StoredSecret:
        vault, _, name = path.partition("/")
        url = f"{self._address.format(vault)}/secrets/{name}?api-version=7.4"
        headers = {"Authorization": f"Bearer {self._token()}"}
        try:
            answer = requests.get(url, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
            document = answer.json() if answer.status_code == 200 else {}
        except (requests.RequestException, OSError) as error:
            raise SecretUnavailable(f"Azure does not answer: {type(error).__name__}") from None
        if answer.status_code == 404:
            raise ConfigError("there is no such secret in this vault")
        if answer.status_code in (401, 403):
            raise ConfigError(
                f"Azure refused: {answer.status_code}", hint="the login needs the role Key Vault Secrets User"
            )
        if not isinstance(document.get("value"), str):
            raise SecretUnavailable(f"Azure does not answer: {answer.status_code}")
        return StoredSecret(document["value"])

    def _token(self) -> str:
        with self._lock:
            try:
                if self._credential is None:
                    self._credential = DefaultAzureCredential()
                return str(self._credential.get_token(SCOPE).token)
            except (ServiceRequestError, ServiceResponseError) as error:
                raise SecretUnavailable(f"Azure does not answer: {type(error).__name__}") from None
            except (ClientAuthenticationError, CredentialUnavailableError, ValueError) as error:
                raise ConfigError(
                    f"there is no login for Azure: {type(error).__name__}",
                    hint="AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, a managed identity, or `az login`",
                ) from None
