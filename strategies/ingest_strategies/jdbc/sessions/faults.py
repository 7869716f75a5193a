"""Maps a driver's error to one of `ingest_ray.sdk.errors` by its code, and removes secrets from its message."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from ingest_ray.sdk.errors import (
    ConfigError,
    IngestError,
    SourceChanged,
    SourceDenied,
    SourceError,
    SourceLocked,
    SourceUnavailable,
)

LOCKED_HINT = "another session changes the table (such as ALTER TABLE or LOCK TABLE): run again when it has ended"

_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@]*@")
_WORD_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)


def without_secrets(text: str, secrets: Sequence[str]) -> str:
    """A driver's message as it may be shown: no password, no statement."""
    text = text.split("\n\nQuery was:")[0].split("\nQuery was:")[0]
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    text = _URL_PASSWORD.sub(r"\1:***@", text)
    text = _WORD_PASSWORD.sub(r"\1***", text)
    return " ".join(text.split())


@dataclass(frozen=True)
class ErrorCodes:
    """A server's own error codes, by what the caller should do next; any other code means `SourceUnavailable`."""

    denied: frozenset[int | str]
    no_database: frozenset[int | str]
    changed: frozenset[int | str]
    syntax: frozenset[int | str]
    values: frozenset[int | str]
    locked: frozenset[int | str] = frozenset()
    database_hint: str = "field 'database'"
    changed_hint: str = "collect metadata again"

    def error(self, code: int | str, message: str) -> IngestError:
        if code in self.denied:
            return SourceDenied(message, hint="check user and password, and GRANT SELECT on the table")
        if code in self.no_database:
            return ConfigError(message, hint=self.database_hint)
        if code in self.changed:
            return SourceChanged(message, hint=self.changed_hint)
        if code in self.syntax:
            return ConfigError(message, hint="check the policy's 'where'")
        if code in self.locked:
            return SourceLocked(message, hint=LOCKED_HINT)
        if code in self.values:
            return SourceError(message)
        return SourceUnavailable(message)
