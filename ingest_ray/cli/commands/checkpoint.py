"""`reset`, `watermark set`, and `changes`: where the next run of a unit starts, and the log that the source keeps for it."""

import sys
from typing import Annotated

import typer

from ingest_ray.cli.confirm import confirm
from ingest_ray.cli.invocation import EndpointArg, Invocation, UnitArg, YesOption, shared_options
from ingest_ray.sdk.refs import UnitRef

watermark_app = typer.Typer(help="Where a unit goes on.", no_args_is_help=True, rich_markup_mode=None)
changes_app = typer.Typer(help="Logs that sources keep for units.", no_args_is_help=True, rich_markup_mode=None)


ToSinkOption = Annotated[
    bool, typer.Option("--to-sink", help="Go back to what the sink has, after it was restored from an earlier copy.")
]


@shared_options()
def reset(
    invocation: Invocation, endpoint: EndpointArg, unit: UnitArg, to_sink: ToSinkOption = False, yes: YesOption = False
) -> None:
    """Forget a unit's checkpoint: its next run starts from nothing. Rows in the sink stay.

    With --to-sink the checkpoint goes back to the last commit that the sink has: the next run reads what the sink lost.

    \b
    Examples:
      ingest-ray reset shop public.orders
      ingest-ray reset shop public.orders --to-sink
      ingest-ray reset shop public.orders --yes
    """
    from ingest_ray.service.units import reset as use_case

    ref = UnitRef(endpoint, unit)
    sink = use_case.configured_sink_id(invocation.installation, ref)
    if to_sink:
        _return_to_sink(invocation, ref, sink, yes)
        return
    warning = use_case.append_warning(invocation.installation, ref)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    if not yes:
        confirm(f"Forget the checkpoint of {ref} in sink {sink}?")
    result = use_case.reset(invocation.installation, ref)
    invocation.output.write(result, lambda out: print(f"forgot {result.segments} segment(s) of {ref}", file=out))


def _return_to_sink(invocation: Invocation, ref: UnitRef, sink: str, yes: bool) -> None:
    from ingest_ray.service.units import reset as use_case

    if not yes:
        confirm(f"Move the checkpoint of {ref} back to what sink {sink} has?")
    result = use_case.return_checkpoint(invocation.installation, ref)
    for task in result.lost_tasks:
        print(f"warning: the sink also lost commits of a {task}, which no run repeats: do it again", file=sys.stderr)
    if result.is_changed:
        text = (
            f"{ref} went back from commit {result.before} to commit {result.sequence}: its next run reads what follows"
        )
    else:
        text = f"{ref}: sink {sink} has commit {result.before}, as the checkpoint: nothing was changed"
    invocation.output.write(result, lambda out: print(text, file=out))


@watermark_app.command("set")
@shared_options()
def watermark_set(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: UnitArg,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A value of the cursor.", show_default=False)],
    segment: Annotated[str | None, typer.Option(help="One segment; all by default.")] = None,
    yes: YesOption = False,
) -> None:
    """Let a unit go on from a value of its cursor: what is above is read again, what is below is not.

    \b
    Examples:
      ingest-ray watermark set shop public.orders 2024-01-01
      ingest-ray watermark set jira jira.issues 2024-01-01 --segment ABC --yes
    """
    from ingest_ray.service.units.watermark import set_watermark

    installation, ref = invocation.installation, UnitRef(endpoint, unit)
    if not yes:
        confirm(f"Set the watermark of {ref} to '{value}'?")
    result = set_watermark(installation, ref, value, segment=segment)
    invocation.output.write(
        result, lambda out: print(f"set the watermark of {len(result.watermarks)} segment(s)", file=out)
    )


@changes_app.command("status")
@shared_options()
def changes_status(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: Annotated[str | None, typer.Argument(help="Of one unit; without it, all that the endpoint keeps.")] = None,
) -> None:
    """Show how far a unit has read its source's log, and how much of it the source keeps. Without a unit: every log that the source
    keeps, also of units and endpoints that are gone.

    \b
    Examples:
      ingest-ray changes status shop public.orders
      ingest-ray changes status shop
    """
    from ingest_ray.cli.tables.status import show_kept_logs, show_log
    from ingest_ray.service.runs.change_log import read_unit_log
    from ingest_ray.service.runs.kept_logs import read_endpoint_logs

    if unit is None:
        logs = read_endpoint_logs(invocation.installation, endpoint)
        invocation.output.write(logs, lambda out: show_kept_logs(logs, out))
        return
    log = read_unit_log(invocation.installation, UnitRef(endpoint, unit))
    invocation.output.write(log, lambda out: show_log(log, out))


@changes_app.command("drop")
@shared_options()
def changes_drop(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: UnitArg,
    yes: YesOption = False,
) -> None:
    """Let the source's log go: remove the unit's replication slot and publication. The unit must be reset and loaded again after it.

    \b
    Examples:
      ingest-ray changes drop shop public.orders
      ingest-ray changes drop shop public.orders --yes
    """
    from ingest_ray.service.runs.change_log import drop_unit_log

    ref = UnitRef(endpoint, unit)
    if not yes:
        confirm(f"Give up the changes of {ref} that are not read yet? It must be loaded again after it.")
    result = drop_unit_log(invocation.installation, ref)
    text = f"dropped {' and '.join(result.dropped)}" if result.dropped else "there was nothing to drop"
    invocation.output.write(result, lambda out: print(text, file=out))
