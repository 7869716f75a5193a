"""The console: web pages over the use cases, served by the same server with the same authentication."""

from ingest_ray.console.pages import mount

__all__ = ["mount"]
