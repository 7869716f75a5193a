"""How an SQL endpoint is configured: fields or a URL in any of the usual spellings, a password never left inside of it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint

SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class SqlConfig(BaseModel):
    """What all SQL sources share: which tables."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    include: tuple[str, ...] = ()
    """Globs over dataset names (`public.order*`); none: everything."""
    exclude: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        return ()


class PostgresConfig(SqlConfig):
    url: str | None = None
    host: str = "localhost"
    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    database: str = "postgres"
    user: str | None = None
    password: SecretStr | None = None
    schemas: tuple[str, ...] = ()
    """None: every schema that is not the system's."""
    sslmode: SslMode | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    connect_timeout_s: Seconds = 10
    statement_timeout_s: Seconds | None = None
    application_name: str = "ingest_ray"
    """Sessions of this name are known to write nothing, so they hold no horizon back: use it for nothing else."""

    @model_validator(mode="before")
    @classmethod
    def _take_url_apart(cls, given: Any) -> Any:
        return with_url_parts(given, ("postgresql", "postgres"), _POSTGRES_QUERY)

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self.password.get_secret_value(),) if self.password else ()


_POSTGRES_QUERY = {
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "dbname": "database",
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert",
    "sslcert": "sslcert",
    "sslkey": "sslkey",
    "connect_timeout": "connect_timeout_s",
    "connectTimeout": "connect_timeout_s",
    "application_name": "application_name",
    "ApplicationName": "application_name",
    "currentSchema": "schemas",
}


class SqliteConfig(SqlConfig):
    url: str | None = None
    path: str = ""
    integer_time: Literal["seconds", "milliseconds", "microseconds"] = "seconds"
    """What an integer in a DATE, DATETIME or TIMESTAMP column counts since 1970, UTC. SQLite's own functions: seconds."""
    busy_timeout_s: Seconds = 10

    @model_validator(mode="before")
    @classmethod
    def _take_url_apart(cls, given: Any) -> Any:
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


def with_url_parts(
    given: Any, schemes: tuple[str, ...], query_names: Mapping[str, str], path_field: str = "database"
) -> Any:
    """Spreads a network URL over the fields; a field that is given, too, must not be given twice."""
    if not isinstance(given, Mapping) or not given.get("url"):
        return given
    fields = dict(given)
    text = str(fields["url"]).removeprefix("jdbc:")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("field 'url': not a URL; a port is a number, brackets belong around IPv6 hosts") from None
    if parts.scheme.split("+")[0] not in schemes:
        raise ValueError(f"field 'url': must begin with '{schemes[0]}://' or 'jdbc:{schemes[0]}://'")
    found: dict[str, Any] = {
        "host": parts.hostname,
        "port": port,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        path_field: unquote(parts.path.lstrip("/")) or None,
    }
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in query_names:
            raise ValueError(f"field 'url': parameter '{name}' is not known; known: {', '.join(sorted(query_names))}")
        field = query_names[name]
        found[field] = tuple(value.split(",")) if field == "schemas" else value
    for name, value in found.items():
        if value is not None and fields.get(name) in (None, (), ""):
            fields[name] = value
    user = f"{quote(parts.username, safe='%')}@" if parts.username else ""
    place = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    fields["url"] = f"{parts.scheme}://{user}{place}{f':{port}' if port else ''}{parts.path}"
    return fields


SqlModel = TypeVar("SqlModel", bound=SqlConfig)


def parse_config(model: type[SqlModel], endpoint: Endpoint) -> SqlModel:
    """The endpoint's configuration, checked. Raises `ConfigError` that names the field and never shows a value."""
    try:
        return model.model_validate(endpoint.config)
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_input=False, include_url=False, include_context=False):
            place = ".".join(str(part) for part in fault["loc"])
            message = fault["msg"].removeprefix("Value error, ")
            faults.append(f"field '{place}': {message}" if place else message)
        raise ConfigError(f"endpoint '{endpoint.endpoint_id}': {'; '.join(faults)}") from None
