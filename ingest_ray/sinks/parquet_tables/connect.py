"""Opens the sink of plain Parquet files."""

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sinks.parquet_tables.sink import ParquetSink
from ingest_ray.sinks.parquet_template import ParquetConfig


def open_sink(config: ParquetConfig) -> Sink:
    return ParquetSink(config)
