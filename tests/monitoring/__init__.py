"""Freshness, metrics, alerts, lineage, telemetry."""
