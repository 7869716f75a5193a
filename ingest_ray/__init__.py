"""Ingestion on Ray: units, plans, slices, staged Arrow, exactly-once commits, watermarks.

import ingest_ray

project = ingest_ray.open("ingest.yaml")
project.apply()
project.collect("shop")
print(project.run("shop").rows)
table = project.read("shop", "public.orders")
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest_ray.library import Project, build, open

__version__ = "0.1.0"
__all__ = ["Project", "__version__", "build", "open"]


def __getattr__(name: str) -> object:
    """Loads the library at its first use, so that a command which does not need it starts quickly."""
    if name in ("Project", "build", "open"):
        from ingest_ray import library

        return getattr(library, name)
    raise AttributeError(f"module 'ingest_ray' has no attribute '{name}'")
