"""`ingest.yaml`: settings, endpoints, sinks, and the rules for units."""

from ingest_ray.config.document import Config, IngestFile, UnitRule
from ingest_ray.config.loading import FILE, SETTINGS, load_config, load_settings

__all__ = ["FILE", "SETTINGS", "Config", "IngestFile", "UnitRule", "load_config", "load_settings"]
