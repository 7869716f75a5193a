"""Passwords that are made for one connection, by a login that an entry point offers (`ingest_ray.database_logins`)."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator

from ingest_ray.registry import database_login
from ingest_ray.sdk.contracts import LoginRequest
from ingest_ray.sdk.errors import ConfigError, IngestError, SecretUnavailable


class LoginConfig(BaseModel):
    """`kind` is the name of an entry point; what stands beside it are the login's own options."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

    kind: str

    @property
    def options(self) -> Mapping[str, JsonValue]:
        return self.model_extra or {}

    @model_validator(mode="after")
    def _check_options(self) -> "LoginConfig":
        try:
            database_login(self.kind).check(self.options)
        except ConfigError as error:
            raise ValueError(error.message + (f"; {error.hint}" if error.hint else "")) from None
        return self


def mint_password(login: LoginConfig, host: str, port: int, user: str) -> str:
    """The password of one connection.

    Raises:
        ConfigError: names the kind of login.
        SecretUnavailable: try again.
    """
    try:
        password = database_login(login.kind).mint(LoginRequest(host, port, user, login.options))
    except (ConfigError, SecretUnavailable) as error:
        named: Any = ConfigError if isinstance(error, ConfigError) else SecretUnavailable
        raise named(f"login '{login.kind}': {error.message}", hint=error.hint) from None
    except IngestError:
        raise
    except Exception as error:  # of somebody's login; its text is not known to be without secrets
        raise ConfigError(f"login '{login.kind}' failed: {type(error).__name__}") from None
    if not password or not password.isprintable():
        raise ConfigError(f"login '{login.kind}' made no password of one line")
    return password


def check_login(login: LoginConfig | None, user: str | None, has_password: bool) -> None:
    """Raises `ValueError` where a login cannot be used with the other fields of a configuration."""
    if login is None:
        return
    if has_password:
        raise ValueError("field 'login': it makes the password, so 'password' is left out")
    if not user:
        raise ValueError("field 'login': it needs 'user'")
