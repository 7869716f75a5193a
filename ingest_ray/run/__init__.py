"""Wires one run together: from an order that passed the gate to a summary."""

from ingest_ray.run.launch import each, launch
from ingest_ray.run.preview import preview_plan
from ingest_ray.run.reconcile import reconcile_unit
from ingest_ray.run.source_retry import Stopped, patiently

__all__ = ["Stopped", "each", "launch", "patiently", "preview_plan", "reconcile_unit"]
