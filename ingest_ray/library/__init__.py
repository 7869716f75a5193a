"""Ingestion from Python: notebooks, tests, orchestrators. `ingest_ray.open` and `ingest_ray.build` make a `Project`."""

from ingest_ray.library.project import Project, build, open

__all__ = ["Project", "build", "open"]
