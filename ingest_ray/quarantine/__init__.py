"""Quarantine: rows that cannot be represented are stored with raw value, slice and reason, to be listed and replayed."""
