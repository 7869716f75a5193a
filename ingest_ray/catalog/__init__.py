"""The catalog: endpoints, datasets, unit configurations and run records in one SQL database."""

from ingest_ray.catalog.store import Catalog, open_catalog

__all__ = ["Catalog", "open_catalog"]
