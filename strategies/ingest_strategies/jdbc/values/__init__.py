"""Conversion of a database's columns to Arrow columns."""
