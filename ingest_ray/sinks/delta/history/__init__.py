"""Histories in Delta tables."""
