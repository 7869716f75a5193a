"""What is registered, collected, configured and has been run: one SQL database, read and written in transactions."""

from ingest_ray.catalog.store import Catalog, open_catalog

__all__ = ["Catalog", "open_catalog"]
