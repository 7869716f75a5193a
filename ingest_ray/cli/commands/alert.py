"""`alert`: incidents, and the messages about them."""

from typing import Annotated

import typer

from ingest_ray.cli.invocation import Invocation, shared_options

alert_app = typer.Typer(help="Incidents, and who is told about them.", no_args_is_help=True, rich_markup_mode=None)


@alert_app.command("test")
@shared_options()
def alert_test(
    invocation: Invocation,
    receiver: Annotated[
        str | None,
        typer.Argument(metavar="RECEIVER", help="Id under alerts.receivers; all by default.", show_default=False),
    ] = None,
) -> int:
    """Send a test message at once. Exit code 1: a receiver did not take it.

    \b
    Examples:
      ingest-ray alert test
      ingest-ray alert test on-call --json
    """
    from ingest_ray.cli.tables.monitoring.alerts import show_delivered
    from ingest_ray.service.monitoring.delivery import send_test_messages

    delivered = send_test_messages(invocation.installation, receiver)
    document = {"receivers": [each.model_dump(mode="json") for each in delivered]}
    invocation.output.write(document, lambda out: show_delivered(delivered, out))
    return int(any(each.error for each in delivered))


@alert_app.command("list")
@shared_options()
def alert_list(
    invocation: Invocation,
    all_: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
) -> None:
    """Show open incidents, and how many messages wait or could not be delivered.

    \b
    Examples:
      ingest-ray alert list
      ingest-ray alert list --all --json
    """
    from ingest_ray.cli.tables.monitoring.alerts import show_incidents
    from ingest_ray.service.monitoring.delivery import read_alert_state

    state = read_alert_state(invocation.installation, only_open=not all_)
    invocation.output.write(state, lambda out: show_incidents(state, out))


@alert_app.command("check")
@shared_options()
def alert_check(invocation: Invocation) -> None:
    """Look for incidents and deliver messages, once: for installations without a server, from cron.

    \b
    Examples:
      ingest-ray alert check
    """
    from ingest_ray.service.monitoring.alerting import check_incidents, check_logs
    from ingest_ray.service.monitoring.delivery import deliver_due

    check_logs(invocation.installation)
    written, delivered = check_incidents(invocation.installation), deliver_due(invocation.installation)
    document = {"written": written, "delivered": delivered}
    invocation.output.write(document, lambda out: print(f"{written} messages written, {delivered} delivered", file=out))


@alert_app.command("dead")
@shared_options()
def alert_dead(invocation: Invocation) -> None:
    """Show dead letters: messages that could not be delivered for about a day.

    \b
    Examples:
      ingest-ray alert dead --json
    """
    from ingest_ray.cli.tables.monitoring.alerts import show_dead
    from ingest_ray.service.monitoring.delivery import list_dead_letters

    letters = list_dead_letters(invocation.installation)
    invocation.output.write({"letters": letters}, lambda out: show_dead(letters, out))


@alert_app.command("resend")
@shared_options()
def alert_resend(invocation: Invocation) -> None:
    """Try to deliver every dead letter again.

    \b
    Examples:
      ingest-ray alert resend
    """
    from ingest_ray.service.monitoring.delivery import resend_dead_letters

    count = resend_dead_letters(invocation.installation)
    invocation.output.write({"resent": count}, lambda out: print(f"{count} messages wait for delivery again", file=out))
