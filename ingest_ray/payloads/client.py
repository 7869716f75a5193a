"""Connects to the Temporal server of the settings, with the guarded data converter."""

import asyncio

from temporalio.client import Client
from temporalio.service import RPCError

from ingest_ray import telemetry
from ingest_ray.payloads.connection import TemporalConnection, read_connection
from ingest_ray.payloads.converter import data_converter
from ingest_ray.sdk.errors import ClusterUnavailable
from ingest_ray.settings import Settings

CONNECT_TIMEOUT_S = 10.0


async def connect(settings: Settings) -> Client:
    """Raises `ClusterUnavailable` if the server does not answer, and what `read_connection` raises."""
    return await open_client(await asyncio.to_thread(read_connection, settings), settings)


async def open_client(connection: TemporalConnection, settings: Settings) -> Client:
    try:
        return await asyncio.wait_for(
            Client.connect(
                connection.address,
                namespace=connection.namespace,
                data_converter=data_converter,
                tls=connection.tls,
                api_key=connection.api_key,
                rpc_metadata=dict(connection.headers),
                interceptors=telemetry.temporal_interceptors(settings),
            ),
            CONNECT_TIMEOUT_S,
        )
    except (RPCError, RuntimeError, TimeoutError) as error:
        raise ClusterUnavailable(
            f"the Temporal server at '{connection.address}' does not answer: {type(error).__name__}",
            hint="start it, or set temporal.address; where it demands TLS, look at temporal.tls",
        ) from error
