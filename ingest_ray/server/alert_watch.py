"""Looks for incidents, delivers messages, and sweeps what is old while the server runs; none waits for another."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from ingest_ray.sdk.errors import IngestError
from ingest_ray.server.outage_log import OutageLog
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.alerting import check_incidents, check_logs
from ingest_ray.service.monitoring.delivery import deliver_due
from ingest_ray.service.upkeep.retention import sweep_when_due

log = logging.getLogger(__name__)

CHECK_S = 5.0
DELIVER_S = 3.0
SWEEP_S = 600.0  # a look whether a sweep is due, which it is once a day
LONGEST_PAUSE_S = 30.0
BUSY_SHARE = 0.1  # of one core, at most: a look at thousands of units takes more than a second


@asynccontextmanager
async def watching(installation: Installation, outage_log: OutageLog) -> AsyncIterator[None]:
    settings = installation.settings
    alerts = (
        ((check_incidents, CHECK_S), (check_logs, CHECK_S), (deliver_due, DELIVER_S)) if settings.alerts.enabled else ()
    )
    sweeps = ((sweep_when_due, SWEEP_S),) if settings.retention.enabled else ()
    tasks = [
        asyncio.create_task(_repeat(installation, work, pause_s, outage_log)) for work, pause_s in (*alerts, *sweeps)
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _repeat(
    installation: Installation, work: Callable[[Installation], object], pause_s: float, outage_log: OutageLog
) -> None:
    while True:
        began = time.monotonic()
        try:
            await asyncio.to_thread(work, installation)
            outage_log.succeeded(work.__name__)
        except IngestError as error:  # the catalog may be unavailable: the next round tries again
            outage_log.failed(work.__name__, error)
        except Exception:
            log.exception("a defect in %s", work.__name__)
        await asyncio.sleep(max(pause_s, min((time.monotonic() - began) / BUSY_SHARE, LONGEST_PAUSE_S)))
