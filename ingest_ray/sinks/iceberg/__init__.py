"""Apache Iceberg as a sink: one table per unit, in any catalog that pyiceberg reaches."""
