"""How the Temporal server is reached: the settings, then `TEMPORAL_*` variables, then a profile file.

https://docs.temporal.io/develop/environment-configuration. What the settings name is taken from nowhere else.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.envconfig import ClientConfig
from temporalio.service import TLSConfig

from ingest_ray import logs
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.secrets import follow
from ingest_ray.settings import Settings, TemporalTls

ADDRESS, NAMESPACE = "localhost:7233", "default"


@dataclass(frozen=True)
class TemporalConnection:
    """Two of them are equal where nothing was rotated or changed. `tls` None: without; True: the authorities of the system."""

    address: str
    namespace: str
    api_key: str | None = None
    tls: bool | TLSConfig = False
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"TemporalConnection({self.address!r}, {self.namespace!r})"  # nothing that is a secret


def read_connection(settings: Settings) -> TemporalConnection:
    """Reads files, variables and stores of secrets anew at each call.

    Raises:
        ConfigError: names the setting, variable or file that is missing or wrong.
        SecretUnavailable: a store did not answer.
    """
    temporal = settings.temporal
    found = _from_environment(settings)
    api_key = follow(temporal.api_key, "temporal.api_key", settings) if temporal.api_key else found.get("api_key")
    tls = found.get("tls", False) if temporal.tls is None else _tls_of(temporal.tls, settings)
    return TemporalConnection(
        address=temporal.address or found.get("target_host") or ADDRESS,
        namespace=temporal.namespace or found.get("namespace") or NAMESPACE,
        api_key=api_key,
        tls=tls or (temporal.tls is None and api_key is not None and bool(found.get("api_key"))),
        headers=tuple(sorted((found.get("rpc_metadata") or {}).items())),
    )


def _tls_of(tls: bool | TemporalTls, settings: Settings) -> bool | TLSConfig:
    if isinstance(tls, bool):
        return tls

    def text(field: str) -> bytes | None:
        reference = getattr(tls, field)
        return follow(reference, f"temporal.tls.{field}", settings).encode() + b"\n" if reference else None

    return TLSConfig(
        server_root_ca_cert=text("ca"),
        client_cert=text("certificate"),
        client_private_key=text("key"),
        domain=tls.server_name,
    )


def _from_environment(settings: Settings) -> dict[str, Any]:
    temporal = settings.temporal
    if temporal.config_file is not None and not Path(temporal.config_file).is_file():
        raise ConfigError(f"temporal.config_file: '{temporal.config_file}' is not there")
    try:
        found = ClientConfig.load_client_connect_config(profile=temporal.profile, config_file=temporal.config_file)
    except (RuntimeError, ValueError, OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"the profile of Temporal cannot be read: {logs.scrub(str(error))}",
            hint="look at temporal.profile, TEMPORAL_PROFILE, TEMPORAL_CONFIG_FILE and the file of profiles",
        ) from None
    if isinstance(found.get("api_key"), str):
        logs.hide(found["api_key"])
    return dict(found)
