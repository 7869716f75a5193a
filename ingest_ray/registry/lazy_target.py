"""Imports what an entry point of this package offers when it is first used, because its library may not be installed."""

from importlib import import_module
from typing import Any

from ingest_ray.sdk.missing_packages import named_packages


def load_target(target: str, extra: str) -> Any:
    """Imports `module:name`. Raises `ConfigError` that names the missing package and the extra which installs it."""
    module, _, name = target.partition(":")
    with named_packages("it", extra):
        return getattr(import_module(module), name)
