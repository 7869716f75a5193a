"""The page of the audit log: who did what, from where, and with which outcome."""

from ingest_ray.catalog.audit_entries import AuditEntry
from ingest_ray.console.elements import button, cell, format_time, heading, row, table, text_of
from ingest_ray.console.page_context import PageContext
from ingest_ray.service.access.audit import read_audit_log

PAGE = 200  # entries
COLUMNS = ("when (UTC)", "who", "role", "from", "action", "endpoint", "outcome", "details")


async def show_audit_log(context: PageContext) -> None:
    heading("Audit log", 1)
    if not context.is_admin:
        text_of("Only an admin may read it.", "p", "error").props('role="alert"')
        return
    text_of("The newest first. All of it: ingest-ray audit --json", "p", "soft")
    page = AuditPage(context)
    await page.show()


class AuditPage:
    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._last: str | None = None

    async def show(self) -> None:
        with table("Audit log", COLUMNS) as body:
            self._body = body
        self._more = button("Show more", self.show_more)
        await self.show_more()

    async def show_more(self) -> None:
        context = self._context
        listed = await context.call(
            read_audit_log, context.installation, context.principal, after=self._last, first=PAGE
        )
        entries = listed.entries if listed is not None else ()
        with self._body:
            for entry in entries:
                _show(entry)
        if entries:
            self._last = entries[-1].entry_id
        self._more.set_visibility(len(entries) == PAGE)


def _show(entry: AuditEntry) -> None:
    with row():
        cell(format_time(entry.at), "mono")
        cell(entry.who if entry.token_id is None else f"{entry.who} (token {entry.token_id})")
        cell(entry.role)
        cell(entry.source)
        cell(entry.action)
        cell(entry.endpoint_id or "-")
        cell(entry.outcome if entry.code is None else f"{entry.outcome} [{entry.code}]")
        cell(entry.details, "mono")
