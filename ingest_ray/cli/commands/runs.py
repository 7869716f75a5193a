"""`plan`, `run`, `pause`, `status` and `history`."""

from typing import Annotated

import typer

from ingest_ray.cli.each_unit import for_each_unit, named_units
from ingest_ray.cli.invocation import EndpointArg, Invocation, UnitArg, shared_options

FOLLOWED = 64  # units at once where none of them ends by itself


@shared_options()
def plan(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: UnitArg,
    slices: Annotated[int, typer.Option("--slices", min=0, help="How many slices to show.")] = 10,
) -> int:
    """Show what a run would read now: strategy, horizon, segments, slices, types. Reads no rows.

    \b
    Examples:
      ingest-ray plan shop public.orders
      ingest-ray plan shop public.orders --slices 100
      ingest-ray plan shop 'public.*'
    """
    from ingest_ray.cli.tables.plan import show_plan
    from ingest_ray.service.runs import execution

    return for_each_unit(
        invocation,
        named_units(invocation, endpoint, unit),
        "plans",
        lambda ref: execution.plan(invocation.installation, ref),
        lambda planned, out: show_plan(planned, slices, out),
    )


@shared_options()
def run(
    invocation: Invocation,
    endpoint: EndpointArg,
    unit: Annotated[
        list[str] | None,
        typer.Argument(metavar="UNIT", help="Units or patterns; all enabled ones by default.", show_default=False),
    ] = None,
    lower: Annotated[
        str | None,
        typer.Option("--from", metavar="VALUE", help="Backfill: the first value of the cursor to read again."),
    ] = None,
    upper: Annotated[
        str | None, typer.Option("--to", metavar="VALUE", help="Backfill: the first value that is not read again.")
    ] = None,
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Afterwards, find rows that were deleted at the source.")
    ] = False,
    allow_deletes: Annotated[
        bool, typer.Option("--allow-deletes", help="Consent to more deletes than policy.max_delete_fraction.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Units that read a log: go on with its changes until Ctrl-C.")
    ] = False,
    every: Annotated[
        float,
        typer.Option("--every", metavar="SECONDS", min=0.1, help="With --follow: the pause where nothing is new."),
    ] = 2.0,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Start the runs and return: they go on in the background.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Run in this process, whatever `launcher` of the installation says.")
    ] = False,
    parallel: Annotated[
        int | None,
        typer.Option(
            "--parallel",
            metavar="N",
            min=1,
            max=64,
            help="Units at once; by default one per core, and no more than policy.max_connections allows.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Run units of an endpoint: read what is new, and commit it exactly once.

    Several units run side by side; one that fails does not end the others.
    Ctrl-C finishes the commits under way; running again goes on where it stopped.
    A backfill (--from, --to) reads a part again and moves no watermark.
    The installation's launcher carries the runs out: this process, a Ray job or a Temporal workflow. The command waits for
    their ends and shows the same, wherever they run; --detach does not wait.

    \b
    Examples:
      ingest-ray run shop
      ingest-ray run shop --parallel 8
      ingest-ray run shop public.orders 'sales.*'
      ingest-ray run shop public.orders --from 2024-01-01 --to 2024-02-01
      ingest-ray run shop public.orders --reconcile --json
      ingest-ray run shop public.orders --follow
      ingest-ray run shop --detach
    """
    from ingest_ray.cli import foreground_run

    installation = invocation.installation
    options = foreground_run.run_options(lower, upper, reconcile, allow_deletes, every if follow else None)
    if detach:
        foreground_run.refuse_with_detach(is_local=local, parallel=parallel)
        return foreground_run.detach(invocation.output, installation, endpoint, unit or [], options)
    parallel = FOLLOWED if follow and parallel is None else parallel
    return foreground_run.run(invocation.output, installation, endpoint, unit or [], options, parallel, is_local=local)


@shared_options()
def pause(invocation: Invocation, endpoint: EndpointArg, unit: UnitArg) -> int:
    """Stop a unit's run after the commit under way, wherever it runs; its schedule is held until it is started again.

    \b
    Examples:
      ingest-ray pause shop public.orders
      ingest-ray pause shop 'public.*'
    """
    from ingest_ray.service.runs import control

    units = named_units(invocation, endpoint, unit)
    return for_each_unit(
        invocation,
        units,
        "paused",
        lambda ref: control.pause(invocation.installation, ref, requested_by="command line"),
        lambda result, out: print(result.message, file=out),
    )


@shared_options()
def status(
    invocation: Invocation,
    endpoint: Annotated[str | None, typer.Argument(metavar="ENDPOINT", show_default=False)] = None,
    unit: Annotated[
        str | None, typer.Argument(metavar="UNIT", help="A unit or a pattern; all by default.", show_default=False)
    ] = None,
) -> None:
    """Show where units stand: state, watermark per segment, last run, counts, errors.

    \b
    Examples:
      ingest-ray status
      ingest-ray status shop
      ingest-ray status shop public.orders
      ingest-ray status shop 'public.*'
    """
    from ingest_ray.cli.tables.status import show_status
    from ingest_ray.service.units import status as use_case

    report = use_case.read_status(invocation.installation, endpoint, unit)
    invocation.output.write(report, lambda out: show_status(report, unit is not None and len(report.units) == 1, out))


@shared_options()
def history(
    invocation: Invocation,
    endpoint: Annotated[str | None, typer.Argument(metavar="ENDPOINT", show_default=False)] = None,
    unit: Annotated[
        str | None, typer.Argument(metavar="UNIT", help="A unit or a pattern; all by default.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="How many runs.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="RUN", help="Those before this run.")] = None,
) -> None:
    """Show runs, the newest first.

    \b
    Examples:
      ingest-ray history
      ingest-ray history shop public.orders -n 100 --json
      ingest-ray history shop 'public.*'
    """
    from ingest_ray.cli.tables.history import show_history
    from ingest_ray.service.runs.history import list_runs

    page = list_runs(invocation.installation, endpoint_id=endpoint, unit_id=unit, after=after, first=limit)
    invocation.output.write(page, lambda out: show_history(page, out))


@shared_options(json=False)
def logs(
    invocation: Invocation,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, as history shows it.", show_default=False)],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
) -> None:
    """Show the log of a run that the service or a schedule started. Runs of the command line log to the terminal.

    \b
    Examples:
      ingest-ray logs 20260301T101500123456-0123456789
      ingest-ray logs 20260301T101500123456-0123456789 --follow
    """
    from ingest_ray.service.runs.run_log import read_log

    for line in read_log(invocation.installation, run, follow=follow):
        print(line, file=invocation.output.stream, flush=follow)
        if invocation.output.has_no_reader:
            return
