"""Tests of the sink for Apache Iceberg."""
