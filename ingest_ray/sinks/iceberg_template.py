"""The configuration and description of the Iceberg sink."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from ingest_ray.sdk.local_paths import LocalPath
from ingest_ray.sdk.url_credentials import plain_uri


class IcebergConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    warehouse: Annotated[LocalPath | None, AfterValidator(lambda value: value and plain_uri(value))] = None
    """The folder or URI (`s3://`, `gs://`, `abfss://`) that the tables lie under; a REST catalog, Glue and Hive may have their own."""
    catalog: Literal["sql", "rest", "glue", "hive"] = "sql"
    """What kind of catalog names the tables: https://py.iceberg.apache.org/configuration/#catalogs."""
    uri: Annotated[str | None, AfterValidator(lambda value: value and plain_uri(value))] = None
    """The catalog's address: `postgresql://user@host/db` or `sqlite:///path` (default: `catalog.db` in the warehouse); of REST
    `https://...`, of Hive `thrift://...`."""
    password: SecretStr | None = None
    """The password of a catalog in PostgreSQL."""
    name: str = Field(default="ingest", pattern=r"^\w+$")
    """The catalog's name; several may share one SQL database."""
    namespace: str | None = Field(default=None, pattern=r"^\w+(\.\w+)*$")
    """One namespace for all tables, which then are named `<endpoint id>_<unit id>`; without it, one namespace per endpoint."""
    options: dict[str, SecretStr] = Field(default_factory=dict)
    """Properties of pyiceberg for catalog and files: `s3.endpoint`, `credential`, `token`, `rest.sigv4-enabled`, `glue.region`, ..."""
