"""The worker: takes workflows and activities from the task queue until a signal stops it."""

import asyncio
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

import ingest_ray
from ingest_ray import logs
from ingest_ray.payloads.client import open_client
from ingest_ray.payloads.connection import TemporalConnection, read_connection
from ingest_ray.payloads.search_attributes import ensure_search_attributes
from ingest_ray.sdk.errors import IngestError
from ingest_ray.settings import Settings
from ingest_ray.temporal.activities import Activities
from ingest_ray.temporal.failures import TypedFailures
from ingest_ray.temporal.outage_lines import shorten_lines
from ingest_ray.temporal.workflows import ALL

log = logging.getLogger(__name__)

KEYS_READ_EVERY_S = 60.0  # after this, a new API key or certificate is in use; the old one is valid for longer
CANCELLATION_DELAY_S = 5  # within this time a cancellation reaches an activity


def worker_of(client: Client, settings: Settings, threads: ThreadPoolExecutor) -> Worker:
    cancellation_delay = timedelta(seconds=CANCELLATION_DELAY_S)
    return Worker(
        client,
        task_queue=settings.temporal.task_queue,
        workflows=ALL,
        activities=Activities(settings).all,
        activity_executor=threads,
        interceptors=[TypedFailures()],
        max_concurrent_activities=settings.temporal.activities_at_once,
        max_heartbeat_throttle_interval=cancellation_delay,
        default_heartbeat_throttle_interval=cancellation_delay,
        deployment_config=deployment_of(settings),
    )


def deployment_of(settings: Settings) -> WorkerDeploymentConfig | None:
    """None: the worker has no version, and takes all work of its queue."""
    deployment = settings.temporal.deployment
    if deployment is None:
        return None
    is_pinned = deployment.behavior == "pinned"
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment.name, deployment.build_id or ingest_ray.__version__),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED if is_pinned else VersioningBehavior.AUTO_UPGRADE,
    )


async def serve(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT. Jobs of runs under way go on; another worker attaches to them."""
    shorten_lines()
    connection = await asyncio.to_thread(read_connection, settings)
    client = await open_client(connection, settings)
    await ensure_search_attributes(client)
    threads = ThreadPoolExecutor(settings.temporal.activities_at_once, thread_name_prefix="activity")
    asyncio.get_running_loop().set_default_executor(
        threads
    )  # a look at a head that hangs holds one of them for a while
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    worker = worker_of(client, settings, threads)
    async with worker:
        log.info("taking work from '%s' at %s", settings.temporal.task_queue, connection.address)
        await renew_keys(worker, connection, settings, stop)
        log.info("stopping: jobs of runs go on without this worker")


async def renew_keys(
    worker: Worker,
    connection: TemporalConnection,
    settings: Settings,
    stop: asyncio.Event,
    every_s: float = KEYS_READ_EVERY_S,
) -> None:
    """Until `stop`: reads keys and certificates again, and gives the worker a new connection where they were rotated.

    A rotation that cannot be used is a warning: the connection that there is goes on.
    """
    while True:
        try:
            await asyncio.wait_for(stop.wait(), every_s)
        except TimeoutError:
            pass
        else:
            return
        try:
            found = await asyncio.to_thread(read_connection, settings)
            if found == connection:
                continue
            worker.client = await open_client(found, settings)
        except IngestError as error:
            log.warning("the connection to Temporal could not be renewed: %s", logs.scrub(error.message))
            continue
        connection = found
        log.info("the connection to Temporal was renewed: its key or certificate was rotated")
