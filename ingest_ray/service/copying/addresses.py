"""Turns the addresses of a source and of a target into endpoints: `postgresql://app@db/shop`, `./lake`, `duckdb:///shop.db`."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from ingest_ray.config.document import EndpointEntry
from ingest_ray.config.loading import absolute_endpoint
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint

SOURCES: Mapping[str, str] = {
    "postgresql": "jdbc.postgres",
    "postgres": "jdbc.postgres",
    "mysql": "jdbc.mysql",
    "mariadb": "jdbc.mysql",
    "sqlite": "jdbc.sqlite",
    "mssql": "jdbc.mssql",
    "sqlserver": "jdbc.mssql",
    "oracle": "jdbc.oracle",
}
DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite")
STORES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
SQLITE_FILES = (".db", ".sqlite", ".sqlite3")
DUCKDB_FILES = (".duckdb", ".ddb")

_SCHEME = re.compile(r"(?:jdbc:)?([a-z][a-z0-9]*)(?:\+\w+)?:")


def source_endpoint(address: str, password: str | None, folder: Path) -> Endpoint:
    """The endpoint, whose id is derived from the database's name. `folder`: of relative paths.

    Raises:
        ConfigError: the address is none of a SQL database.
    """
    scheme = _scheme_of(address)
    template = SOURCES.get(scheme) if scheme else None
    if scheme is None and Path(address).suffix in SQLITE_FILES:
        return _endpoint("jdbc.sqlite", {"path": address}, Path(address).stem, folder, is_sink=False)
    if template is None:
        raise ConfigError(
            f"SOURCE: '{_shown(address)}' is no address of a SQL database",
            hint="such as postgresql://user@host/database, mysql://user@host/database or sqlite:///shop.db; "
            "for other sources write an ingest.yaml",
        )
    return _endpoint(template, _login(address, password), _database_of(address), folder, is_sink=False)


def target_endpoint(address: str, password: str | None, folder: Path) -> Endpoint:
    """Raises `ConfigError` for an address that no sink has."""
    scheme = _scheme_of(address)
    if scheme == "duckdb":
        path = address.partition(":")[2].removeprefix("///")
        return _endpoint("duckdb", {"path": path}, Path(path).stem, folder, is_sink=True)
    if scheme is None and Path(address).suffix in DUCKDB_FILES:
        return _endpoint("duckdb", {"path": address}, Path(address).stem, folder, is_sink=True)
    if scheme in DATABASES:
        return _endpoint("sql", _login(address, password), _database_of(address), folder, is_sink=True)
    if scheme is None and Path(address).suffix in SQLITE_FILES:
        return _endpoint("sql", {"url": f"sqlite:///{address}"}, Path(address).stem, folder, is_sink=True)
    if scheme is None or scheme in (*STORES, "file"):
        return _endpoint(
            "lake.delta", {"uri": address}, Path(urlsplit(address).path).name or "lake", folder, is_sink=True
        )
    raise ConfigError(
        f"--to: '{_shown(address)}' is no address of a sink",
        hint="a folder or s3:// URI for a Delta lake, duckdb:///file.duckdb, sqlite:///file.db, postgresql://user@host/database",
    )


def _login(address: str, password: str | None) -> dict[str, JsonValue]:
    return {"url": address} if password is None else {"url": address, "password": password}


def _endpoint(template: str, config: dict[str, JsonValue], name: str, folder: Path, *, is_sink: bool) -> Endpoint:
    entry = EndpointEntry(id=_slug(name), template=template, config=config)
    return absolute_endpoint(entry, folder, is_sink=is_sink)


def _scheme_of(address: str) -> str | None:
    match = _SCHEME.match(address)
    return match[1] if match and len(match[1]) > 1 else None  # one letter is a drive


def _database_of(address: str) -> str:
    path = urlsplit(address.removeprefix("jdbc:")).path or address.rpartition(":")[2]
    return Path(unquote(path)).stem


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:60] or "database"


def _shown(address: str) -> str:
    """Without a login."""
    return re.sub(r"//[^/@]*@", "//***@", address)
