"""The secret store contract: secrets that change by themselves, such as refresh tokens that are good for one use."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue


class SecretStore(Protocol):
    """Small documents, sealed at rest, shared by all processes of an installation.

    Raises `StateUnavailable` when the store does not answer. `identity` names the installation, without a secret.
    """

    @property
    def identity(self) -> str: ...

    def read(self, key: str) -> tuple[Mapping[str, JsonValue], int] | None:
        """The document and its version."""
        ...

    def write(self, key: str, document: Mapping[str, JsonValue], if_version: int) -> int:
        """Writes only where the stored version is `if_version` (0: no such key); returns the new version.

        Raises:
            StateConflict: another process wrote it.
        """
        ...

    def owner(self) -> str:
        """Names this process among those that use the store."""
        ...

    def is_gone(self, owner: str) -> bool:
        """Whether that process has ended, as far as it can be seen from here; False for a process of another host."""
        ...
