"""The audit log: what `audit` shows."""

from typing import TextIO

from ingest_ray.cli.format import format_time
from ingest_ray.cli.tables.layout import console_on, table_of
from ingest_ray.service.access.audit import AuditLog


def show_audit_log(listed: AuditLog, out: TextIO) -> None:
    console = console_on(out)
    if not listed.entries:
        console.print("nothing is recorded")
        return
    table = table_of("when (UTC)", "who", "role", "from", "action", "endpoint", "outcome", "details")
    for entry in listed.entries:
        outcome = entry.outcome if entry.code is None else f"{entry.outcome} [{entry.code}]"
        table.add_row(
            format_time(entry.at),
            entry.who,
            entry.role,
            entry.source,
            entry.action,
            entry.endpoint_id or "-",
            outcome,
            entry.details,
        )
    console.print(table)
