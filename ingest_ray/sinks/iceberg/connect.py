"""Opens the sinks of an Iceberg catalog."""

from ingest_ray.sdk.contracts import ModelSink, Sink
from ingest_ray.sinks.iceberg.models.sink import IcebergModelSink
from ingest_ray.sinks.iceberg.sink import IcebergSink
from ingest_ray.sinks.iceberg_template import IcebergConfig


def open_sink(config: IcebergConfig) -> Sink:
    return IcebergSink(config)


def open_models(config: IcebergConfig) -> ModelSink:
    return IcebergModelSink(config)
