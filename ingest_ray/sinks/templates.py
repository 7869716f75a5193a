"""The sink families that the entry points name: their configuration and description. Opening a sink imports its library."""

from importlib import import_module
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ingest_ray.connections.login import LoginConfig
from ingest_ray.connections.tunnel import TunnelConfig
from ingest_ray.sdk.contracts import Addresses, Descriptor, ModelSink, Sink
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported
from ingest_ray.sdk.local_paths import LocalPath
from ingest_ray.sdk.missing_packages import named_packages
from ingest_ray.sdk.types import Endpoint
from ingest_ray.sdk.url_credentials import plain_uri
from ingest_ray.sinks.iceberg_template import IcebergConfig
from ingest_ray.sinks.parquet_template import ParquetConfig

__all__ = [
    "CdmConfig",
    "DeltaConfig",
    "DuckDbConfig",
    "IcebergConfig",
    "ParquetConfig",
    "SqlConfig",
    "cdm",
    "delta",
    "duckdb",
    "iceberg",
    "parquet",
    "sql",
]

ALL_MODELS = ("cdm.work.*", "cdm.doc.*", "cdm.identity.*")


class DeltaConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: Annotated[LocalPath, Field(min_length=1), AfterValidator(plain_uri)]
    """A folder, or any URI that Delta takes (`s3://`, `gs://`, `az://`, ...), without credentials: it is written into states and receipts."""
    storage_options: dict[str, SecretStr] = Field(default_factory=dict)
    """The object store's settings, as https://docs.rs/object_store names them."""


class SqlConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(min_length=1)
    """`postgresql://user@host/db`, `mysql://user@host/db` (MariaDB, too) or `sqlite:///path`."""
    password: SecretStr | None = None
    schema_name: str | None = Field(default=None, alias="schema")
    """The schema of PostgreSQL's tables (default `public`); it must exist."""
    login: LoginConfig | None = None
    """Makes the password of each connection, as `{kind: aws-rds}` does; TLS is demanded then."""
    tunnel: TunnelConfig | None = None
    """The SSH host that the server is reached through."""


class CdmConfig(SqlConfig):
    """`prefix` stands before the name of every table. `schema`: one PostgreSQL schema for all tables; default `cdm_work` and `cdm_doc`.
    `models`: the accepted models, exact or `cdm.work.*`.
    """

    prefix: str = Field(default="", pattern=r"^[a-z][a-z0-9_]{0,19}$|^$")
    models: tuple[str, ...] = ALL_MODELS


class DuckDbConfig(BaseModel):
    """`path`: the database file; rows that are not committed yet are beside it, in `<path>.staged`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: LocalPath = Field(min_length=1)


class LazySinkFamily:
    """A sink family whose module is imported when the first sink is opened."""

    def __init__(self, descriptor: Descriptor, module: str, *, accepts_rows: bool = True) -> None:
        self.descriptor = descriptor
        self._module = module
        self._accepts_rows = accepts_rows

    def load(self) -> None:
        """Imports the module. Raises `ConfigError` that names the package which is missing."""
        with named_packages(f"template '{self.descriptor.template}'"):
            import_module(self._module)

    def open(self, endpoint: Endpoint) -> Sink:
        module, config = self._load_module(endpoint)
        if not self._accepts_rows:
            raise ModeUnsupported(
                f"sink '{endpoint.endpoint_id}' ({self.descriptor.template}) takes CDM models only",
                hint="use mode: cdm",
            )
        with named_packages(f"sink '{endpoint.endpoint_id}'"):
            sink: Sink = module.open_sink(config)
        return sink

    def open_models(self, endpoint: Endpoint) -> ModelSink:
        module, config = self._load_module(endpoint)
        with named_packages(f"sink '{endpoint.endpoint_id}'"):
            sink: ModelSink = module.open_models(config)
        return sink

    def _load_module(self, endpoint: Endpoint) -> tuple[Any, BaseModel]:
        try:
            config = self.descriptor.config_model.model_validate(endpoint.config)
        except ValidationError as error:  # the error's own text contains values, and a value may be a secret
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise ConfigError(f"sink '{endpoint.endpoint_id}' has an invalid configuration: {faults}") from None
        with named_packages(f"sink '{endpoint.endpoint_id}'"):
            module: Any = import_module(self._module)
        return module, config


delta = LazySinkFamily(
    Descriptor(
        template="lake.delta",
        addresses=Addresses(schemes=("s3", "s3a", "gs", "az", "abfs", "abfss", "file"), field="uri", suffixes=("",)),
        family="STREAM",
        title="Delta Lake",
        vendor="delta",
        config_model=DeltaConfig,
        description="A Delta table per unit, at <uri>/<endpoint id>/<unit id>.",
        capabilities=("append", "upsert", "replace", "history", "evolve", "compact", "vacuum", "cdm"),
        docs_url="https://delta-io.github.io/delta-rs/",
        sample_config={"uri": "./lake"},
        location_fields=("uri", "storage_options"),
        supported_cdm_models=ALL_MODELS,
    ),
    module="ingest_ray.sinks.delta.connect",
)

iceberg = LazySinkFamily(
    Descriptor(
        template="lake.iceberg",
        addresses=Addresses(schemes=("iceberg",), field="warehouse", is_path=True),
        family="STREAM",
        title="Apache Iceberg",
        vendor="iceberg",
        config_model=IcebergConfig,
        description="An Iceberg table per unit, `<endpoint id>.<unit id>` in a SQL, REST, Glue or Hive catalog.",
        capabilities=("append", "upsert", "replace", "history", "evolve", "compact", "vacuum", "cdm"),
        docs_url="https://py.iceberg.apache.org/",
        sample_config={"warehouse": "./iceberg"},
        address_fields=("warehouse", "catalog"),
        location_fields=("warehouse", "uri", "namespace", "options"),
        supported_cdm_models=ALL_MODELS,
    ),
    module="ingest_ray.sinks.iceberg.connect",
)

parquet = LazySinkFamily(
    Descriptor(
        template="lake.parquet",
        addresses=Addresses(schemes=("parquet",), field="uri", is_path=True),
        family="STREAM",
        title="Parquet files",
        vendor="parquet",
        config_model=ParquetConfig,
        description="Plain Parquet files of a unit, at <uri>/<endpoint id>/<unit id>; current.json lists those of the last commit.",
        capabilities=("append", "replace", "evolve", "compact", "vacuum"),
        docs_url="https://parquet.apache.org/docs/",
        sample_config={"uri": "./files"},
        location_fields=("uri", "storage_options"),
    ),
    module="ingest_ray.sinks.parquet_tables.connect",
)

sql = LazySinkFamily(
    Descriptor(
        template="sql",
        addresses=Addresses(
            schemes=("postgresql", "postgres", "mysql", "mariadb", "sqlite"),
            suffixes=(".db", ".sqlite", ".sqlite3"),
            file_form="sqlite:///{path}",
        ),
        family="JDBC",
        title="SQL database",
        vendor="sql",
        config_model=SqlConfig,
        description="A table per unit in PostgreSQL, MySQL, MariaDB or SQLite; `public.orders` becomes `public_orders`.",
        capabilities=("append", "upsert", "replace", "history", "evolve", "cdm"),
        sample_config={"url": "postgresql://loader@db/warehouse", "password": "env:WAREHOUSE_PASSWORD"},
        location_fields=("url", "schema"),
        supported_cdm_models=ALL_MODELS,
    ),
    module="ingest_ray.sinks.databases.connect",
)

duckdb = LazySinkFamily(
    Descriptor(
        template="duckdb",
        addresses=Addresses(schemes=("duckdb",), field="path", is_path=True, suffixes=(".duckdb", ".ddb")),
        family="JDBC",
        title="DuckDB",
        vendor="duckdb",
        config_model=DuckDbConfig,
        description="A table per unit in one DuckDB file; one process writes at a time.",
        capabilities=("append", "upsert", "replace", "history", "evolve", "cdm"),
        docs_url="https://duckdb.org/docs/",
        sample_config={"path": "./lake.duckdb"},
        location_fields=("path",),
        supported_cdm_models=ALL_MODELS,
    ),
    module="ingest_ray.sinks.databases.duckdb",
)

cdm = LazySinkFamily(
    Descriptor(
        template="cdm.jdbc",
        family="JDBC",
        title="Common data model in a SQL database",
        vendor="cdm",
        config_model=CdmConfig,
        description="A table per CDM model in PostgreSQL, MySQL, MariaDB or SQLite: `cdm.work.item` is `cdm_work_item`.",
        capabilities=("upsert", "replace", "cdm", "provision"),
        sample_config={"url": "postgresql://loader@db/warehouse", "password": "env:WAREHOUSE_PASSWORD"},
        location_fields=("url", "schema", "prefix"),
        supported_cdm_models=ALL_MODELS,
    ),
    module="ingest_ray.sinks.databases.connect",
    accepts_rows=False,
)
