"""The console: a few pages over the use cases, in the same server and with the same identities."""

from ingest_ray.console.pages import mount

__all__ = ["mount"]
