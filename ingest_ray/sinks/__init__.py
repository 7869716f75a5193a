"""The sinks' front doors, as their entry points name them. A sink's library is imported when a sink is opened."""

from importlib import import_module
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ingest_ray.contracts import Descriptor, Sink
from ingest_ray.errors import ConfigError
from ingest_ray.models import Endpoint

__all__ = ["DeltaConfig", "DuckConfig", "SqlConfig", "delta", "duckdb", "sql"]


class DeltaConfig(BaseModel):
    """`uri`: a local path, relative to the working directory, or any URI that Delta takes (`s3://`, `gs://`, `az://`, ...).

    `storage_options`: the object store's settings, as https://docs.rs/object_store names them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(min_length=1)
    storage_options: dict[str, SecretStr] = Field(default_factory=dict)


class SqlConfig(BaseModel):
    """`url`: `postgresql://user@host/db`, `mysql://user@host/db` (MariaDB, too) or `sqlite:///path`.

    `schema`: where PostgreSQL's tables go (default `public`); it must be there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(min_length=1)
    password: SecretStr | None = None
    schema_name: str | None = Field(default=None, alias="schema")


class DuckConfig(BaseModel):
    """`path`: the database file; rows that are not committed yet lie beside it, in `<path>.staged`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1)


class LazySink:
    """A sink family whose module is imported when the first sink is opened."""

    def __init__(self, descriptor: Descriptor, module: str, extra: str) -> None:
        self.descriptor = descriptor
        self._module = module
        self._extra = extra

    def open(self, endpoint: Endpoint) -> Sink:
        try:
            config = self.descriptor.config_model.model_validate(endpoint.config)
        except ValidationError as error:  # its own text would show values, and a value may be a secret
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise ConfigError(f"sink '{endpoint.endpoint_id}' is not set up rightly: {wrong}") from None
        try:
            module: Any = import_module(self._module)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"sink '{endpoint.endpoint_id}' needs the Python package '{error.name}'",
                hint=f"pip install 'ingest-ray[{self._extra}]'",
            ) from error
        sink: Sink = module.open_sink(config)
        return sink


delta = LazySink(
    Descriptor(
        template="lake.delta",
        family="STREAM",
        title="Delta Lake",
        vendor="delta",
        config_model=DeltaConfig,
        description="A Delta table per unit, at <uri>/<endpoint id>/<unit id>.",
        capabilities=("append", "upsert", "replace", "evolve", "compact", "vacuum"),
        docs_url="https://delta-io.github.io/delta-rs/",
        sample_config={"uri": "./lake"},
    ),
    module="ingest_ray.sinks.delta_sink",
    extra="delta",
)

sql = LazySink(
    Descriptor(
        template="sql",
        family="JDBC",
        title="SQL database",
        vendor="sql",
        config_model=SqlConfig,
        description="A table per unit in PostgreSQL, MySQL, MariaDB or SQLite; `public.orders` becomes `public_orders`.",
        capabilities=("append", "upsert", "replace", "evolve"),
        sample_config={"url": "postgresql://loader@db/warehouse", "password": "env:WAREHOUSE_PASSWORD"},
    ),
    module="ingest_ray.sinks.databases.connect",
    extra="postgres,mysql",
)

duckdb = LazySink(
    Descriptor(
        template="duckdb",
        family="JDBC",
        title="DuckDB",
        vendor="duckdb",
        config_model=DuckConfig,
        description="A table per unit in one DuckDB file; one process writes at a time.",
        capabilities=("append", "upsert", "replace", "evolve"),
        docs_url="https://duckdb.org/docs/",
        sample_config={"path": "./lake.duckdb"},
    ),
    module="ingest_ray.sinks.databases.duck",
    extra="all",
)
