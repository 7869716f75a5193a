"""`reset`, `watermark set`, and `changes`: where the next run of a unit starts, and the log that the source keeps for it."""

import sys
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from ingest_ray.cli.confirm import confirm
from ingest_ray.cli.each_unit import NamedUnits, for_each_unit, named_units
from ingest_ray.cli.invocation import EndpointArg, Invocation, UnitArg, YesOption, shared_options
from ingest_ray.cli.output import SUCCESS
from ingest_ray.sdk.refs import UnitRef

if TYPE_CHECKING:
    from ingest_ray.service.runs.change_log import DroppedLog
    from ingest_ray.service.units.reset import ResetResult, ReturnResult
    from ingest_ray.service.units.unit_status import UnitLog

watermark_app = typer.Typer(help="Where a unit goes on.", no_args_is_help=True, rich_markup_mode=None)
changes_app = typer.Typer(help="Logs that sources keep for units.", no_args_is_help=True, rich_markup_mode=None)

NO_LOG = "no unit reads its source's log"

ToSinkOption = Annotated[
    bool, typer.Option("--to-sink", help="Go back to what the sink has, after it was restored from an earlier copy.")
]


@shared_options()
def reset(
    invocation: Invocation, endpoint: EndpointArg, unit: UnitArg, to_sink: ToSinkOption = False, yes: YesOption = False
) -> int:
    """Forget a unit's checkpoint: its next run starts from nothing. Rows in the sink stay.

    With --to-sink the checkpoint goes back to the last commit that the sink has: the next run reads what the sink lost.

    \b
    Examples:
      ingest-ray reset shop public.orders
      ingest-ray reset shop public.orders --to-sink
      ingest-ray reset shop public.orders --yes
      ingest-ray reset shop 'public.*' --yes
    """
    from ingest_ray.service.units import reset as use_case

    units = named_units(invocation, endpoint, unit)
    sinks = ", ".join(sorted({use_case.configured_sink_id(invocation.installation, ref) for ref in units.refs}))
    if to_sink:
        return _return_to_sink(invocation, units, sinks, yes)
    for warning in [use_case.append_warning(invocation.installation, ref) for ref in units.refs]:
        if warning:
            print(f"warning: {warning}", file=sys.stderr)
    if not yes:
        confirm(f"Forget the checkpoint of {units.text} in sink {sinks}?")

    def show(result: "ResetResult", out: TextIO) -> None:
        print(f"forgot {result.segments} segment(s) of {UnitRef(endpoint, result.unit_id)}", file=out)

    return for_each_unit(invocation, units, "resets", lambda ref: use_case.reset(invocation.installation, ref), show)


def _return_to_sink(invocation: Invocation, units: NamedUnits, sinks: str, yes: bool) -> int:
    from ingest_ray.service.units import reset as use_case

    if not yes:
        confirm(f"Move the checkpoint of {units.text} back to what sink {sinks} has?")

    def go_back(ref: UnitRef) -> "ReturnResult":
        result = use_case.return_checkpoint(invocation.installation, ref)
        for task in result.lost_tasks:
            text = f"warning: the sink also lost commits of a {task}, which no run repeats: do it again"
            print(text, file=sys.stderr)
        return result

    return for_each_unit(invocation, units, "resets", go_back, _show_returned)


def _show_returned(result: "ReturnResult", out: TextIO) -> None:
    ref, before = UnitRef(result.endpoint_id, result.unit_id), result.before
    if result.is_changed:
        print(
            f"{ref} went back from commit {before} to commit {result.sequence}: its next run reads what follows",
            file=out,
        )
    else:
        print(f"{ref}: sink {result.sink_id} has commit {before}, as the checkpoint: nothing was changed", file=out)


@watermark_app.command("set")
@shared_options()
def watermark_set(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: UnitArg,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A value of the cursor.", show_default=False)],
    segment: Annotated[str | None, typer.Option(help="One segment; all by default.")] = None,
    yes: YesOption = False,
) -> int:
    """Let a unit go on from a value of its cursor: what is above is read again, what is below is not.

    \b
    Examples:
      ingest-ray watermark set shop public.orders 2024-01-01
      ingest-ray watermark set jira jira.issues 2024-01-01 --segment ABC --yes
    """
    from ingest_ray.service.units.watermark import set_watermark

    units = named_units(invocation, endpoint, unit)
    if not yes:
        confirm(f"Set the watermark of {units.text} to '{value}'?")
    return for_each_unit(
        invocation,
        units,
        "watermarks",
        lambda ref: set_watermark(invocation.installation, ref, value, segment=segment),
        lambda result, out: print(f"set the watermark of {len(result.watermarks)} segment(s)", file=out),
    )


@changes_app.command("status")
@shared_options()
def changes_status(
    invocation: Invocation,
    endpoint: Annotated[
        str | None, typer.Argument(metavar="ENDPOINT", help="All endpoints by default.", show_default=False)
    ] = None,
    unit: Annotated[
        str | None,
        typer.Argument(metavar="UNIT", help="A unit or a pattern; all that read a log by default.", show_default=False),
    ] = None,
) -> int:
    """Show how far units have read their source's log, and how much of it the source keeps. Of an endpoint without a unit: every log
    that the source keeps, also of units and endpoints that are gone.

    \b
    Examples:
      ingest-ray changes status
      ingest-ray changes status shop public.orders
      ingest-ray changes status shop
    """
    from ingest_ray.cli.tables.status import show_kept_logs, show_log
    from ingest_ray.service.runs.change_log import list_units_with_log, read_unit_log
    from ingest_ray.service.runs.kept_logs import read_endpoint_logs

    if endpoint is not None and unit is None:
        logs = read_endpoint_logs(invocation.installation, endpoint)
        invocation.output.write(logs, lambda out: show_kept_logs(logs, out))
        return SUCCESS
    units = None if unit is None or endpoint is None else named_units(invocation, endpoint, unit)
    if units is None or units.is_list:  # of a pattern, those that have a log
        named = None if units is None else units.refs
        refs = list_units_with_log(invocation.installation, endpoint)
        units = NamedUnits(tuple(ref for ref in refs if named is None or ref in named), is_list=True)

    def show(log: "UnitLog", out: TextIO) -> None:
        if units.is_list:
            print(UnitRef(log.endpoint_id, log.unit_id), file=out)
        show_log(log, out)

    return for_each_unit(
        invocation, units, "logs", lambda ref: read_unit_log(invocation.installation, ref), show, NO_LOG
    )


@changes_app.command("drop")
@shared_options()
def changes_drop(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: UnitArg,
    yes: YesOption = False,
) -> int:
    """Let the source's log go: remove the unit's replication slot and publication. The unit must be reset and loaded again after it.

    \b
    Examples:
      ingest-ray changes drop shop public.orders
      ingest-ray changes drop shop public.orders --yes
    """
    from ingest_ray.service.runs.change_log import drop_unit_log, list_units_with_log

    units = named_units(invocation, endpoint, unit)
    if units.is_list:
        logged = list_units_with_log(invocation.installation, endpoint)
        units = NamedUnits(tuple(ref for ref in units.refs if ref in logged), is_list=True)
    if not yes and units.refs:
        confirm(f"Give up the changes of {units.text} that are not read yet? They must be loaded again after it.")

    def show(result: "DroppedLog", out: TextIO) -> None:
        print(f"dropped {' and '.join(result.dropped)}" if result.dropped else "there was nothing to drop", file=out)

    return for_each_unit(
        invocation, units, "dropped", lambda ref: drop_unit_log(invocation.installation, ref), show, NO_LOG
    )
