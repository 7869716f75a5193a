"""The configuration of the sink of plain Parquet files."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from ingest_ray.sdk.local_paths import LocalPath
from ingest_ray.sdk.url_credentials import plain_uri


class ParquetConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: Annotated[LocalPath, Field(min_length=1), AfterValidator(plain_uri)]
    """A folder, or the URI of an object store (`s3://`, `gs://`, `az://`), without credentials."""
    storage_options: dict[str, SecretStr] = Field(default_factory=dict)
    """The object store's settings, as https://docs.rs/object_store names them."""
