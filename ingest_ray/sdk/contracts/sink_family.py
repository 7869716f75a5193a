"""The contract of one template of sinks."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from typing import Protocol

from ingest_ray.sdk.contracts.descriptor import Descriptor
from ingest_ray.sdk.contracts.model_sink import ModelSink
from ingest_ray.sdk.contracts.sink import Sink
from ingest_ray.sdk.types import Endpoint


class SinkFamily(Protocol):
    """One template of sinks, as its entry point names it. Importing it must not import the sink's heavy library."""

    descriptor: Descriptor

    def open(self, endpoint: Endpoint) -> Sink: ...

    def open_models(self, endpoint: Endpoint) -> ModelSink:
        """Opens the CDM sink of an endpoint. Only families whose descriptor names CDM models have it."""
        ...
