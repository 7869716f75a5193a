"""What a person does with a unit: run, pause, reset; and with several at once."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from ingest_ray.console.elements import confirm
from ingest_ray.console.page_context import Action, PageContext, show_message
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.access.roles import Role
from ingest_ray.service.runs import control
from ingest_ray.service.runs.admission import RunOptions
from ingest_ray.service.units import reset
from ingest_ray.service.units.listing import UnitView

Done = Callable[[], Awaitable[None]]

FEW = 5  # names in a message


async def run_unit(context: PageContext, view: UnitView) -> None:
    consequence = f"It reads what is new and commits it to {view.sink_id}."
    if await confirm(f"Run {view.unit_id}?", consequence, "Run now"):
        await start_unit(context, view.ref, RunOptions())


async def start_unit(context: PageContext, unit: UnitRef, options: RunOptions) -> bool:
    """Starts a run and shows its page; False where it was refused, and the page says why."""
    action = Action(
        "startIngestion", unit.endpoint_id, Role.OPERATOR, details={"unit": unit.unit_id, **_details(options)}
    )
    done = await context.act(
        action, control.start, context.installation, unit, options=options, requested_by=context.principal.name
    )
    if done is not None:
        ui.navigate.to(f"/run/{done.run_id}")
    return done is not None


def _details(options: RunOptions) -> dict[str, object]:
    return options.model_dump(exclude_defaults=True)


async def pause_unit(context: PageContext, unit: UnitRef, done: Done) -> None:
    if not await confirm(f"Pause {unit.unit_id}?", "The commit under way is finished first.", "Pause now"):
        return
    action = Action("pauseIngestion", unit.endpoint_id, Role.OPERATOR, details={"unit": unit.unit_id})
    paused = await context.act(action, control.pause, context.installation, unit, requested_by=context.principal.name)
    if paused is not None and paused.message:
        show_message(paused.message)
    await done()


async def start_units(context: PageContext, endpoint_id: str, unit_ids: Sequence[str], done: Done) -> None:
    consequence = "Some of them run at once, the others wait for their turn."
    if not unit_ids or not await confirm(f"Run {counted_units(unit_ids)}?", consequence, "Run now"):
        return
    started = await context.act(
        Action("startIngestionUnits", endpoint_id, Role.OPERATOR, details={"units": list(unit_ids)}),
        control.start_units,
        context.installation,
        endpoint_id,
        unit_ids,
        requested_by=context.principal.name,
    )
    if started is not None:
        refused = [f"{unit.unit_id}: {one.message}" for unit, one in started if not one.ok]
        show_message("; ".join([f"{len(started) - len(refused)} of {len(started)} units are started", *refused[:FEW]]))
    await done()


async def pause_units(context: PageContext, endpoint_id: str, unit_ids: Sequence[str], done: Done) -> None:
    consequence = "Commits under way are finished first; schedules are held until the units are started again."
    if not unit_ids or not await confirm(f"Pause {counted_units(unit_ids)}?", consequence, "Pause now"):
        return
    stopped = 0
    for unit_id in unit_ids:
        paused = await context.act(
            Action("pauseIngestion", endpoint_id, Role.OPERATOR, details={"unit": unit_id}),
            control.pause,
            context.installation,
            UnitRef(endpoint_id, unit_id),
            requested_by=context.principal.name,
        )
        stopped += paused is not None and paused.ok
    show_message(f"{stopped} of {len(unit_ids)} units had a run or a schedule, and are paused")
    await done()


async def reset_unit(context: PageContext, unit: UnitRef, done: Done) -> None:
    consequence = "Its checkpoint is forgotten: the next run reads everything again. Rows in the sink stay."
    asking = Action("resetIngestionCheckpoint", unit.endpoint_id, is_audited=False)
    warning = await context.act(asking, reset.append_warning, context.installation, unit)
    if warning:
        consequence = f"Its checkpoint is forgotten. Rows in the sink stay. Warning: {warning}."
    if not await confirm(f"Reset {unit.unit_id}?", consequence, "Forget the checkpoint"):
        return
    action = Action("resetIngestionCheckpoint", unit.endpoint_id, details={"unit": unit.unit_id})
    forgotten = await context.act(action, reset.reset, context.installation, unit)
    if forgotten is not None:
        show_message(f"{unit.unit_id}: forgot {forgotten.segments} segment(s)")
    await done()


def counted_units(unit_ids: Sequence[str]) -> str:
    return unit_ids[0] if len(unit_ids) == 1 else f"{len(unit_ids)} units"
