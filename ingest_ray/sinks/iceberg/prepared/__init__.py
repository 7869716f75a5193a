"""Prepared slices of Iceberg tables, and the commits that take them over."""
