"""Opens the sinks of a Delta lake."""

from ingest_ray.sdk.contracts import ModelSink, Sink
from ingest_ray.sinks.delta.model_sink import DeltaModelSink
from ingest_ray.sinks.delta.sink import DeltaSink
from ingest_ray.sinks.templates import DeltaConfig


def open_sink(config: DeltaConfig) -> Sink:
    return DeltaSink(config)


def open_models(config: DeltaConfig) -> ModelSink:
    return DeltaModelSink(config)
