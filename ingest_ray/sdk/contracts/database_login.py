"""A login that makes a new password for each connection to a database: a token of a cloud's identity service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue


@dataclass(frozen=True)
class LoginRequest:
    """The connection that is about to be made. `options`: what the configuration says beside the kind."""

    host: str
    port: int
    user: str
    options: Mapping[str, JsonValue] = field(default_factory=dict)


class DatabaseLogin(Protocol):
    """One object serves all connections of a process, from any thread. Its own login comes from the process's environment."""

    def check(self, options: Mapping[str, JsonValue]) -> None:
        """Makes no request. Raises `ConfigError` for an option that is not known, or has a wrong value."""
        ...

    def mint(self, request: LoginRequest) -> str:
        """The password of one connection, of one line.

        Raises:
            ConfigError: the process has no login, or the identity service refused.
            SecretUnavailable: the identity service did not answer.
        """
        ...
