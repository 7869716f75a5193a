"""The logins that the entry points of this package name."""

from collections.abc import Mapping
from functools import cached_property

from pydantic import JsonValue

from ingest_ray.registry.lazy_target import load_target
from ingest_ray.sdk.contracts import DatabaseLogin, LoginRequest
from ingest_ray.sdk.errors import ConfigError

__all__ = ["aws_rds", "azure_ad", "gcp_sql"]


class LazyDatabaseLogin:
    """Checks options without a library; `target` is `module:class` of the login, `extra` installs its library."""

    def __init__(self, options: tuple[str, ...], target: str, extra: str) -> None:
        self._options = options
        self._target = target
        self._extra = extra

    def check(self, options: Mapping[str, JsonValue]) -> None:
        for name, value in options.items():
            if name not in self._options:
                known = ", ".join(["kind", *self._options])
                raise ConfigError(f"option '{name}' is not known", hint=f"known: {known}")
            if not isinstance(value, str) or not value:
                raise ConfigError(f"option '{name}' is a text")

    def mint(self, request: LoginRequest) -> str:
        return self._login.mint(request)

    @cached_property
    def _login(self) -> DatabaseLogin:
        login: DatabaseLogin = load_target(self._target, self._extra)()
        return login


aws_rds = LazyDatabaseLogin(("region", "profile"), "ingest_ray.connections.logins.aws:RdsLogin", extra="aws")
gcp_sql = LazyDatabaseLogin((), "ingest_ray.connections.logins.google:CloudSqlLogin", extra="gcp")
azure_ad = LazyDatabaseLogin(("scope", "client_id"), "ingest_ray.connections.logins.azure:EntraLogin", extra="azure")
