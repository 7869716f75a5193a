"""Measurements and campaigns against real servers. Not part of the package."""
