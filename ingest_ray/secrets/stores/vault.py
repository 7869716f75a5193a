"""HashiCorp Vault and OpenBao, through hvac. Address and login are those of the environment, as for Vault's own client.

`VAULT_ADDR`, `VAULT_NAMESPACE`, `VAULT_CACERT` and others: https://developer.hashicorp.com/vault/docs/commands#environment-variables.
The login is `VAULT_TOKEN` (or `~/.vault-token`), else AppRole (`VAULT_ROLE_ID`, `VAULT_SECRET_ID`), else the service account of a
Kubernetes pod (`VAULT_KUBERNETES_ROLE`).
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hvac
import requests
from hvac import exceptions

from ingest_ray.sdk.contracts import StoredSecret
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable

TIMEOUT_S = (5.0, 10.0)  # to connect, and for each part of an answer
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Vault:
    """A path is written as for `vault kv get`, or, of any other engine, as for `vault read`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: Any = None
        self._environment: tuple[str | None, ...] = ()

    def check(self, path: str) -> None:
        return

    def read(self, path: str) -> StoredSecret:
        with _translated(), self._lock:
            try:
                answer = _get(self._logged_in(), path)
            except exceptions.Forbidden:
                if not self._can_log_in_again():
                    raise
                self._client = None  # its token has ended
                answer = _get(self._logged_in(), path)
        lifetime_s = float(answer["lease_duration"]) if answer.get("lease_id") and answer["lease_duration"] else None
        return StoredSecret(_fields_of(answer), lifetime_s)

    def _logged_in(self) -> Any:
        environment = tuple(os.environ.get(name) for name in _VARIABLES)
        if self._client is None or environment != self._environment:
            self._client, self._environment = _log_in(), environment
        return self._client

    def _can_log_in_again(self) -> bool:
        return not hvac.utils.get_token_from_env()


_VARIABLES = (
    "VAULT_ADDR",
    "VAULT_NAMESPACE",
    "VAULT_TOKEN",
    "VAULT_ROLE_ID",
    "VAULT_SECRET_ID",
    "VAULT_KUBERNETES_ROLE",
)


def _log_in() -> Any:
    environment = os.environ
    if not environment.get("VAULT_ADDR"):
        raise ConfigError("VAULT_ADDR is not set", hint="set VAULT_ADDR, and VAULT_TOKEN or another login of Vault")
    client = hvac.Client(
        url=environment["VAULT_ADDR"], namespace=environment.get("VAULT_NAMESPACE") or None, timeout=TIMEOUT_S
    )
    if client.token:
        return client
    if role := environment.get("VAULT_ROLE_ID"):
        mount = environment.get("VAULT_APPROLE_MOUNT", "approle")
        client.auth.approle.login(role, environment.get("VAULT_SECRET_ID"), mount_point=mount)
    elif role := environment.get("VAULT_KUBERNETES_ROLE"):
        file = Path(environment.get("VAULT_KUBERNETES_TOKEN_FILE", str(SERVICE_ACCOUNT)))
        try:
            token = file.read_text().strip()
        except OSError as error:
            raise ConfigError(f"the file '{file}' cannot be read: {error.strerror}") from None
        mount = environment.get("VAULT_KUBERNETES_MOUNT", "kubernetes")
        client.auth.kubernetes.login(role, token, mount_point=mount)
    else:
        raise ConfigError(
            "there is no login for Vault",
            hint="set VAULT_TOKEN, VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_KUBERNETES_ROLE",
        )
    return client


def _get(client: Any, path: str) -> dict[str, Any]:
    """The answer of the key-value engine's second version has its fields one level deeper, under another path."""
    answer: dict[str, Any] = client.adapter.get(f"/v1/{_api_path(client, path)}")
    return answer


def _api_path(client: Any, path: str) -> str:
    """As Vault's own client finds it: https://developer.hashicorp.com/vault/api-docs/system/internal-ui-mounts"""
    try:
        mount = client.adapter.get(f"/v1/sys/internal/ui/mounts/{path}")["data"]
    except (exceptions.Forbidden, exceptions.InvalidPath):
        return path
    root = str(mount["path"])
    if (mount.get("options") or {}).get("version") != "2" or path.startswith(f"{root}data/"):
        return path
    return f"{root}data/{path.removeprefix(root)}"


def _fields_of(answer: dict[str, Any]) -> dict[str, Any]:
    fields = answer["data"]
    if isinstance(fields, dict) and set(fields) == {"data", "metadata"}:
        fields = fields["data"]
    if not isinstance(fields, dict):
        raise ConfigError("the secret was deleted")
    return fields


_DENIED = (exceptions.Forbidden, exceptions.Unauthorized, exceptions.InvalidRequest)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except exceptions.InvalidPath:
        raise ConfigError("there is no such secret", hint="the path begins with the name of the mount") from None
    except _DENIED as error:
        raise ConfigError(
            f"Vault refused: {_text(error)}", hint="check the login, and that its policy allows read"
        ) from None
    except exceptions.VaultError as error:
        raise SecretUnavailable(f"Vault does not answer: {_text(error)}") from None
    except (requests.RequestException, OSError) as error:
        raise SecretUnavailable(f"Vault does not answer: {type(error).__name__}", hint="check VAULT_ADDR") from None
    except (KeyError, TypeError, ValueError):
        raise SecretUnavailable("the answer is not one of Vault", hint="check VAULT_ADDR") from None


def _text(error: Any) -> str:
    errors = [str(one) for one in error.errors] if isinstance(error.errors, list) else []
    return "; ".join(errors).strip() or type(error).__name__
