"""The catalog of an Iceberg sink, and the names and locations of its tables.

Names are those that Spark, Trino, Glue and Hive take for a table without quoting: lower-case letters, digits and `_`. `public.orders`
becomes `public_orders`; a name of other characters ends with a hash. Two units with the same table name are refused when the second
one is opened.
"""

import hashlib
import re
import threading
import weakref
from pathlib import Path

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder
from sqlalchemy import Engine, exc
from sqlalchemy.engine import make_url

from ingest_ray.kv.engine import state_engine
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.iceberg.errors import translate_errors
from ingest_ray.sinks.iceberg_reach import check_iceberg_reach
from ingest_ray.sinks.iceberg_template import IcebergConfig

Identifier = tuple[str, ...]

NAME_CHARS = 100  # Glue and Hive take 128 and more
OPENINGS = 5  # of a catalog that another process creates at the same time
_LOCAL = re.compile(r"^(/|file:///)")
_DURABLE = "ingest_ray.sinks.iceberg.file_io.DurableFileIO"
_OF_OBJECTS = "ingest_ray.sinks.iceberg.file_io.ObjectFileIO"
_UNSAFE_IN_PATHS = re.compile(r"[?#%]")
_TABLE_PROPERTIES = {
    "format-version": "2",
    # every commit writes the table's metadata again; the hundred before it are enough to look back
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
    "commit.manifest-merge.enabled": "true",
}


class TableCatalog:
    """Connects on first use; may be used by several threads."""

    def __init__(self, config: IcebergConfig) -> None:
        self._config = config
        self._warehouse = _location(config)
        self._catalog: Catalog | None = None
        self._lock = threading.Lock()

    def identifier(self, target: Target) -> Identifier:
        names = target.table.split("/") if target.table else [target.endpoint_id, target.unit_id]
        spelled = [_spelled(name) for name in names]
        if self._config.namespace is not None:
            return (*self._config.namespace.split("."), "_".join(spelled))
        return tuple(spelled) if len(spelled) > 1 else (_spelled(target.endpoint_id), *spelled)

    def location(self, identifier: Identifier) -> str:
        """Where a table's files lie, as people read it; the table's name where the catalog decides that."""
        if self._warehouse is None:
            return f"{self._config.catalog}:{'.'.join(identifier)}"
        return "/".join([self._warehouse.removeprefix("file://"), *identifier])

    def load(self, identifier: Identifier) -> Table | None:
        with translate_errors(".".join(identifier)):
            try:
                return self.connect().load_table(identifier)
            except (NoSuchTableError, NoSuchNamespaceError):
                return None

    def create(
        self,
        identifier: Identifier,
        schema: Schema,
        properties: dict[str, str],
        spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
        order: SortOrder = UNSORTED_SORT_ORDER,
    ) -> Table:
        """Returns the table of another process where that was faster."""
        catalog = self.connect()
        location = None if self._warehouse is None else "/".join([self._warehouse, *identifier])
        for depth in range(1, len(identifier)):
            try:
                if not catalog.namespace_exists(identifier[:depth]):
                    catalog.create_namespace(identifier[:depth])
            except (NamespaceAlreadyExistsError, exc.IntegrityError):
                continue  # another process created it first
        try:
            return catalog.create_table(identifier, schema, location, spec, order, _TABLE_PROPERTIES | properties)
        except TableAlreadyExistsError:
            return catalog.load_table(identifier)

    def check_reach(self) -> None:
        """Raises as `ReachChecker` says."""
        properties = {name: value.get_secret_value() for name, value in self._config.options.items()}
        if self._config.uri is not None:
            properties["uri"] = self._config.uri
        check_iceberg_reach(self._config.catalog, self._warehouse, properties)

    def connect(self) -> Catalog:
        with self._lock:
            if self._catalog is None:
                self._catalog = self._open()
            return self._catalog

    def _open(self) -> Catalog:
        config = self._config
        properties = {name: value.get_secret_value() for name, value in config.options.items()}
        if self._warehouse is not None:
            properties.setdefault("warehouse", self._warehouse)
        is_local = self._warehouse is not None and _LOCAL.match(self._warehouse)
        properties.setdefault("py-io-impl", _DURABLE if is_local else _OF_OBJECTS)
        if config.catalog == "sql":
            return self._open_sql(properties)
        if config.uri is not None:
            properties["uri"] = config.uri
        if config.catalog == "rest" and config.uri is not None and "credential" in properties:
            # the catalog's own, as its API has it; without this the library warns that it will not look there any more
            properties.setdefault("oauth2-server-uri", f"{config.uri.rstrip('/')}/v1/oauth/tokens")
        try:
            return load_catalog(config.name, type=config.catalog, **properties)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"catalog '{config.catalog}' needs the Python package '{error.name}'",
                hint=f"pip install 'pyiceberg[{config.catalog}]'",
            ) from error

    def _open_sql(self, properties: dict[str, str]) -> Catalog:
        url = make_url(_catalog_url(self._config, self._warehouse))
        if self._config.password is not None:
            url = url.set(password=self._config.password.get_secret_value())
        if url.drivername == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = state_engine(url.render_as_string(hide_password=False))
        weakref.finalize(self, engine.dispose)  # a sink is not closed by its users
        for attempt in range(OPENINGS):
            try:
                return _EngineCatalog(self._config.name, engine, properties)
            except exc.DBAPIError:
                if attempt == OPENINGS - 1:
                    raise
        raise AssertionError("unreachable")


class _EngineCatalog(SqlCatalog):
    """pyiceberg's catalog on an engine that several processes share: with the timeouts and the driver of this project's state."""

    def __init__(self, name: str, engine: Engine, properties: dict[str, str]) -> None:
        super(SqlCatalog, self).__init__(name, **properties)
        self.engine = engine
        self._init_catalog()


def _location(config: IcebergConfig) -> str | None:
    if config.warehouse is None:
        if config.catalog == "sql":
            raise ConfigError("an Iceberg sink with a SQL catalog needs a warehouse: the folder or URI of its tables")
        return None
    if "://" in config.warehouse:
        return config.warehouse.rstrip("/")
    if _UNSAFE_IN_PATHS.search(config.warehouse):
        raise ConfigError(f"warehouse '{config.warehouse}' has '?', '#' or '%', which paths of Iceberg cannot have")
    return f"file://{Path(config.warehouse).absolute().as_posix()}"


def _catalog_url(config: IcebergConfig, warehouse: str | None) -> str:
    if config.uri is not None:
        if not config.uri.startswith(("sqlite:", "postgresql:", "postgresql+pg8000:", "postgres:")):
            raise ConfigError(
                "the SQL catalog of an Iceberg sink is in SQLite or PostgreSQL",
                hint="uri: sqlite:///catalog.db or uri: postgresql://user@host/db",
            )
        return config.uri
    if warehouse is None or not _LOCAL.match(warehouse):
        raise ConfigError(
            f"warehouse '{config.warehouse}' is no local folder, so its catalog needs a uri",
            hint="uri: postgresql://user@host/db, or catalog: rest",
        )
    return f"sqlite:///{warehouse.removeprefix('file://')}/catalog.db"


def _spelled(name: str) -> str:
    lowered = name.lower()
    plain = re.sub(r"[^a-z0-9_]", "_", lowered.replace(".", "_").replace("-", "_"))
    if re.fullmatch(r"[A-Za-z0-9_.-]+", name) and lowered.strip(".-_") and name == lowered and len(plain) <= NAME_CHARS:
        return plain
    return f"{plain[:NAME_CHARS]}_{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
