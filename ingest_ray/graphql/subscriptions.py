"""The subscriptions, over a WebSocket."""

import asyncio
from collections.abc import AsyncIterator

import strawberry
from strawberry import ID

from ingest_ray.graphql.request_context import RequestInfo, call_as_viewer
from ingest_ray.graphql.run_types import RunProgress
from ingest_ray.service.runs.history import view_run
from ingest_ray.service.runs.run_observer import REPORT_EVERY_S


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ingestion_run_progress(self, info: RequestInfo, id: ID) -> AsyncIterator[RunProgress]:
        """Yields the progress of a run whenever it has changed, until the run has ended."""
        last: RunProgress | None = None
        while True:
            principal = await info.context.current_principal()
            now = RunProgress.of(await call_as_viewer(info, view_run, info.context.installation, str(id), principal))
            if now != last:
                yield now
            if now.is_finished:
                return
            last = now
            await asyncio.sleep(REPORT_EVERY_S)
