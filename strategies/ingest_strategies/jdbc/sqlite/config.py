"""The configuration of a SQLite endpoint."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import Field, model_validator

from ingest_ray.sdk.local_paths import LocalPath
from ingest_strategies.jdbc.config import Seconds, SqlConfig


class SqliteConfig(SqlConfig):
    url: str | None = None
    path: LocalPath = ""
    integer_time: Literal["seconds", "milliseconds", "microseconds", "calendar"] | None = None
    """What an integer in a DATE, DATETIME or TIMESTAMP column counts since 1970, UTC; `calendar`: it writes the digits of a date
    (20240115) or a time (20240115093000). None: as the first rows of each column show, by their size; what counts another unit
    then goes to quarantine."""
    types: dict[str, str] = Field(default_factory=dict)
    """Types in the place of declared ones, by globs over `table.column`: `{"places.geom": BLOB}`."""
    busy_timeout_s: Seconds = 10

    def type_of(self, table: str, column: str) -> str | None:
        """The type that a person named for a column."""
        return next((name for pattern, name in self.types.items() if fnmatchcase(f"{table}.{column}", pattern)), None)

    @model_validator(mode="before")
    @classmethod
    def _spread_url(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        fields = dict(given)
        url, path = fields.get("url"), fields.get("path")
        if bool(url) == bool(path) and not (url and path == sqlite_path(str(url))):
            raise ValueError("exactly one of 'path' and 'url' is needed")
        fields["path"] = sqlite_path(str(url)) if url else str(path)
        if fields["path"] in ("", ":memory:"):
            raise ValueError("field 'path': a database in memory cannot be read by another process")
        return fields


def sqlite_path(url: str) -> str:
    """`jdbc:sqlite:x.db`, `sqlite:///x.db`, `sqlite+pysqlite:////abs/x.db`, `file:x.db` or a plain path -> the path."""
    text = url.removeprefix("jdbc:")
    match = re.match(r"sqlite(?:\+\w+)?:", text)
    if match:
        text = text[match.end() :]
        if text.startswith("//"):
            text = text[2:].removeprefix("/")  # SQLAlchemy: three slashes are a relative path, four an absolute one
    return unquote(text.split("?", 1)[0].removeprefix("file:"))
