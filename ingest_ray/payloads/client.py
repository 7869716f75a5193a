"""Connects to the Temporal server of the settings, with the guarded data converter."""

import asyncio

from temporalio.client import Client
from temporalio.service import RPCError

from ingest_ray import telemetry
from ingest_ray.payloads.converter import data_converter
from ingest_ray.sdk.errors import ClusterUnavailable
from ingest_ray.secrets import follow
from ingest_ray.settings import Settings

CONNECT_TIMEOUT_S = 10.0


async def connect(settings: Settings) -> Client:
    """Raises `ClusterUnavailable` if the server does not answer."""
    temporal = settings.temporal
    try:
        return await asyncio.wait_for(
            Client.connect(
                temporal.address,
                namespace=temporal.namespace,
                data_converter=data_converter,
                tls=temporal.tls,
                api_key=follow(temporal.api_key, "temporal.api_key", settings) if temporal.api_key else None,
                interceptors=telemetry.temporal_interceptors(settings),
            ),
            CONNECT_TIMEOUT_S,
        )
    except (RPCError, RuntimeError, TimeoutError) as error:
        raise ClusterUnavailable(
            f"the Temporal server at '{temporal.address}' does not answer: {type(error).__name__}",
            hint="start it, or set temporal.address",
        ) from error
