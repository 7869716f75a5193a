"""A store of secrets outside of the installation, to which the configuration refers: `vault:secret/shop#password`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue


@dataclass(frozen=True)
class StoredSecret:
    """What a store has under one path: fields, or one text, which may be a JSON object with fields.

    `lifetime_s`: seconds until the store ends a login that it made for this request; None where it does not.
    """

    value: str | Mapping[str, JsonValue] = field(repr=False)
    lifetime_s: float | None = None


class SecretStore(Protocol):
    """One object serves all references of its scheme, from any thread. Its address and login come from the process's environment."""

    def check(self, path: str) -> None:
        """Makes no request. Raises `ConfigError`, whose message shows the form, for a path that the store cannot have."""
        ...

    def read(self, path: str) -> StoredSecret:
        """One request, bounded in time and without retries of its own.

        Raises:
            ConfigError: there is no such secret, or it may not be read; a library or a setting is missing.
            SecretUnavailable: try again, after `retry_after_s` where it is given.
        """
        ...
