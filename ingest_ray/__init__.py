"""Ingestion on Ray: units, plans, slices, staged Arrow, exactly-once commits, watermarks."""

__version__ = "0.1.0"
