"""Comparisons of units with their sinks: `verify_unit`, `reconcile_unit`, and the repair of what they find."""

from ingest_ray.run.comparison.reconcile import reconcile_unit
from ingest_ray.run.comparison.verify import VerifyOptions, verify_unit

__all__ = ["VerifyOptions", "reconcile_unit", "verify_unit"]
