"""One installation: its settings, its catalog and its KV, which are opened at first use."""

import uuid
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from ingest_ray.catalog import Catalog, open_catalog
from ingest_ray.files.private import refuse_shared_folder
from ingest_ray.kv import open_state
from ingest_ray.sdk.contracts import KV
from ingest_ray.settings import Settings


class Installation:
    def __init__(self, settings: Settings, catalog: Catalog | None = None) -> None:
        refuse_shared_folder(Path(settings.home))
        self.settings = settings
        if catalog is not None:
            self.catalog = catalog

    @cached_property
    def catalog(self) -> Catalog:
        return open_catalog(self.settings)

    @cached_property
    def kv(self) -> KV:
        return open_state(self.settings)


def new_id() -> str:
    """A unique id; later ids sort after earlier ones."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:10]}"
