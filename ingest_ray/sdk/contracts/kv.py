"""The KV contract: versioned small JSON documents."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from pydantic import JsonValue


class KV(Protocol):
    """Versioned small JSON documents. Raises `StateUnavailable` when the store does not answer."""

    def get(self, key: str) -> tuple[dict[str, JsonValue], int] | None: ...

    def put(self, key: str, value: Mapping[str, JsonValue], if_version: int) -> int:
        """Writes only where the stored version is `if_version` (0: no such key); returns the new version.

        Raises:
            StateConflict: another process wrote it.
        """
        ...

    def delete(self, key: str, if_version: int) -> None: ...

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        """Yields keys in order; the prefix is literal, without wildcards."""
        ...


@runtime_checkable
class SnapshotReader(Protocol):
    """An optional capability of a KV, for backups."""

    def read_at_once(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        """As `scan`, but all documents are those of one moment. For the documents of one unit, not for the whole store."""
        ...
