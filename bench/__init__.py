"""Measurements and campaigns against real servers. Not part of the package."""

from pathlib import Path

from ingest_ray.testing.plugins import add_to_path

add_to_path(Path(__file__).parents[1] / "tests" / "plugins")  # offers the scripted source
