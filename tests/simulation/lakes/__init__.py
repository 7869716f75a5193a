"""A simulated object store under the product's code: the sink of plain Parquet files, with its manifests, pointer, layouts and compaction."""
