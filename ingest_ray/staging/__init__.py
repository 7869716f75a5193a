"""Staging: the pages between reader and sink. `files` survive every process; `object-store` lives as long as its owner process."""

from typing import Literal

from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.secrets.locations import staging_location
from ingest_ray.settings import Settings
from ingest_ray.staging.files import FileStaging
from ingest_ray.staging.object_store import MemoryPages, ObjectStaging, PageStore
from ingest_ray.staging.sweeper import sweep_stale

__all__ = ["FileStaging", "MemoryPages", "ObjectStaging", "PageStore", "open_staging", "sweep_stale"]


def open_staging(
    settings: Settings, provider: Literal["files", "object-store"], store: PageStore | None = None
) -> Staging:
    """`store` holds the pages of `object-store`: the executor that starts Ray passes it."""
    if provider == "files":
        return FileStaging(staging_location(settings), page_bytes=settings.staging.page_bytes)
    if store is None:
        raise ConfigError("staging 'object-store' needs a running Ray", hint="choose staging provider 'files'")
    return ObjectStaging(store, page_bytes=settings.staging.page_bytes)
