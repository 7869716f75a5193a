"""What can be watched over a WebSocket."""

import asyncio
from collections.abc import AsyncIterator

import strawberry
from strawberry import ID

from ingest_ray.graphql.request_context import Ask, look
from ingest_ray.graphql.run_types import RunProgress
from ingest_ray.service.runs.history import view_run
from ingest_ray.service.runs.run_observer import REPORT_EVERY_S


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ingestion_run_progress(self, ask: Ask, id: ID) -> AsyncIterator[RunProgress]:
        """How far a run is, whenever that changed, until it has ended."""
        last: RunProgress | None = None
        while True:
            now = RunProgress.of(await look(ask, view_run, ask.context.installation, str(id)))
            if now != last:
                yield now
            if now.is_finished:
                return
            last = now
            await asyncio.sleep(REPORT_EVERY_S)
