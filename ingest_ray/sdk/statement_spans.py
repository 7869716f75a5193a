"""Spans of the statements that are sent to databases: https://opentelemetry.io/docs/specs/semconv/database/database-spans/.

The text of a statement is not in them, because it may have values of keys and cursors. Its first word is, and the table that it reads, where
no value stands before it.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ingest_ray.sdk import tracing
from ingest_ray.sdk.tracing import Attributes, Span

_COMMENT = re.compile(r"\s*/\*.*?\*/\s*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_NAME = r"(?:\"[^\"']+\"|`[^`']+`|\[[^\]']+\]|[A-Za-z_]\w*)"
_TABLE = re.compile(rf"\b(?:from|into|update|table)\s+({_NAME}(?:\.{_NAME})*)", re.IGNORECASE)
_NO_TABLES = frozenset({"select", "only", "if", "exists", "temporary"})


@dataclass(frozen=True)
class DatabasePeer:
    """The database that statements are sent to. `system`: its name in the conventions."""

    system: str = "other_sql"
    address: str | None = None
    port: int | None = None
    namespace: str | None = None

    @classmethod
    def of_url(cls, system: str, url: str) -> "DatabasePeer":
        """Nothing of a URL that cannot be read."""
        try:
            parts = urlsplit(url)
            return cls(system, parts.hostname, parts.port, parts.path.strip("/") or None)
        except ValueError:
            return cls(system)

    def span(self, sql: str) -> Span:
        """For `with`."""
        return tracing.span(*self._of(sql), kind="client") if tracing.is_on() else tracing.span("")

    def begin(self, sql: str) -> Span:
        """Of a statement whose rows are taken one batch after the other."""
        return tracing.begin(*self._of(sql), kind="client") if tracing.is_on() else tracing.begin("")

    def _of(self, sql: str) -> tuple[str, Attributes]:
        operation, table = parts_of(sql)
        summary = f"{operation} {table}" if table else operation
        return summary, {
            "db.system.name": self.system,
            "db.namespace": self.namespace,
            "db.operation.name": operation,
            "db.collection.name": table,
            "db.query.summary": summary,
            "server.address": self.address,
            "server.port": self.port,
        }


def parts_of(sql: str) -> tuple[str, str | None]:
    """The operation of a statement, and its table."""
    bare = _COMMENT.sub(" ", sql[:4_000]).lstrip(" \t\n(")
    word = _WORD.match(bare)
    operation = word[0].upper() if word is not None else "OTHER"
    before_values = re.split(r"['$]", bare, maxsplit=1)[0]
    table = _TABLE.search(before_values)
    if table is None or table[1].lower() in _NO_TABLES:
        return operation, None
    return operation, re.sub(r"[\"`\[\]]", "", table[1])
