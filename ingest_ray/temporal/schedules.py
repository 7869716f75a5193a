"""Keeps schedules of the Temporal server in step with `schedule_minutes` of the enabled units."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Literal

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from ingest_ray.payloads.contract import RUN
from ingest_ray.payloads.documents import RunCommand
from ingest_ray.sdk.types import Model, UnitConfig
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.configs import list_configs

CATCHUP_WINDOW = timedelta(
    minutes=10
)  # starts that were due earlier than this are skipped after an outage of the server
NOTE = "from schedule_minutes in ingest.yaml; `ingest-ray temporal schedules` keeps it so"


class ScheduleChange(Model):
    action: Literal["created", "changed", "removed", "unchanged"]
    schedule_id: str
    minutes: int | None = None


async def sync_schedules(client: Client, installation: Installation) -> list[ScheduleChange]:
    """Makes the server's schedules of this task queue match the catalog; a second call changes nothing.

    A start that is due while the unit's run goes on is skipped.
    """
    queue = installation.settings.temporal.task_queue
    prefix = f"ingest:{queue}:"
    configs = [item.config for item in await asyncio.to_thread(list_configs, installation)]
    wanted = {f"{prefix}{c.ref}": c for c in configs if c.enabled and c.schedule_interval_minutes}
    existing = {name: every async for name, every in _list_schedules(client, prefix)}
    changes = []
    for name, config in sorted(wanted.items()):
        minutes = config.schedule_interval_minutes or 0
        if name not in existing:
            await client.create_schedule(name, schedule_of(config, queue))
            changes.append(ScheduleChange(action="created", schedule_id=name, minutes=minutes))
        elif existing[name] != timedelta(minutes=minutes):
            await client.get_schedule_handle(name).update(partial(_update_of, config=config, queue=queue))
            changes.append(ScheduleChange(action="changed", schedule_id=name, minutes=minutes))
        else:
            changes.append(ScheduleChange(action="unchanged", schedule_id=name, minutes=minutes))
    for name in sorted(existing.keys() - wanted.keys()):
        await client.get_schedule_handle(name).delete()
        changes.append(ScheduleChange(action="removed", schedule_id=name))
    return changes


def schedule_of(config: UnitConfig, queue: str) -> Schedule:
    command = RunCommand(endpoint_id=config.endpoint_id, unit_id=config.unit_id, requested_by="schedule")
    name = f"ingest:{config.ref}"  # the server appends the time
    every = timedelta(minutes=config.schedule_interval_minutes or 0)
    return Schedule(
        action=ScheduleActionStartWorkflow(RUN, command, id=name, task_queue=queue),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCHUP_WINDOW),
        state=ScheduleState(note=NOTE),
    )


async def _list_schedules(client: Client, prefix: str) -> AsyncIterator[tuple[str, timedelta | None]]:
    async for listed in await client.list_schedules():
        if listed.id.startswith(prefix):
            intervals = listed.schedule.spec.intervals if listed.schedule else []
            yield listed.id, intervals[0].every if intervals else None


def _update_of(seen: ScheduleUpdateInput, *, config: UnitConfig, queue: str) -> ScheduleUpdate:
    """Keeps a paused schedule paused."""
    schedule = schedule_of(config, queue)
    schedule.state.paused = seen.description.schedule.state.paused
    return ScheduleUpdate(schedule=schedule)
