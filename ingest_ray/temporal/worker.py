"""The worker: takes workflows and activities from the task queue until a signal stops it."""

import asyncio
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from ingest_ray.payloads.client import connect
from ingest_ray.settings import Settings
from ingest_ray.temporal.activities import Activities
from ingest_ray.temporal.failures import TypedFailures
from ingest_ray.temporal.workflows import ALL

log = logging.getLogger(__name__)

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
    )


async def serve(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT. Jobs of runs under way go on; another worker attaches to them."""
    client = await connect(settings)
    threads = ThreadPoolExecutor(settings.temporal.activities_at_once, thread_name_prefix="activity")
    asyncio.get_running_loop().set_default_executor(
        threads
    )  # a look at a head that hangs holds one of them for a while
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with worker_of(client, settings, threads):
        log.info("taking work from '%s' at %s", settings.temporal.task_queue, settings.temporal.address)
        await stop.wait()
        log.info("stopping: jobs of runs go on without this worker")
