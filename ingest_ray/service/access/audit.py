"""The audit log: who did what, from where, and with which outcome.

An entry is written before the action, and its outcome after it: without the first there is no action. `serve.audit_days` bounds it.
"""

import getpass
import json
import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field

from ingest_ray import logs
from ingest_ray.catalog import audit_entries
from ingest_ray.catalog.audit_entries import AuditEntry, Outcome
from ingest_ray.sdk.errors import IngestError, RoleForbidden
from ingest_ray.sdk.types import Model
from ingest_ray.service.access.roles import LOCAL, Principal
from ingest_ray.service.installation import Installation, new_id

log = logging.getLogger(__name__)

MOST_TEXT = 200  # characters of one detail
MOST_DETAILS = 4_000  # characters of all details of an entry


class Attempt(Model):
    """An action that is about to happen. `source`: where it comes from."""

    principal: Principal
    source: str
    action: str
    endpoint_id: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class AuditLog(Model):
    entries: tuple[AuditEntry, ...] = ()


def begin_entry(
    installation: Installation, attempt: Attempt, outcome: Outcome = "begun", code: str | None = None
) -> str:
    """Writes the entry, and drops those that are too old. Returns its id. Raises `StateUnavailable`: then nothing may be done."""
    moment, principal = datetime.now(UTC), attempt.principal
    entry = AuditEntry(
        entry_id=new_id(),
        at=moment.isoformat(timespec="milliseconds"),
        who=_bounded(principal.name),
        role=principal.role.value,
        token_id=principal.token_id,
        source=_bounded(attempt.source),
        action=attempt.action,
        endpoint_id=_bounded(attempt.endpoint_id) if attempt.endpoint_id is not None else None,
        details=_spelled(attempt.details),
        outcome=outcome,
        code=code,
    )
    oldest = moment - timedelta(days=installation.settings.serve.audit_days)
    with installation.catalog.begin() as connection:
        audit_entries.drop_before(connection, oldest.isoformat(timespec="milliseconds"))
        audit_entries.add(connection, entry)
    return entry.entry_id


def end_entry(installation: Installation, entry_id: str, error: BaseException | None) -> None:
    """What was done stays done where this cannot be written: the entry then says `begun`."""
    code = error.code if isinstance(error, IngestError) else None if error is None else "E_INTERNAL"
    outcome: Outcome = "done" if error is None else "refused" if isinstance(error, RoleForbidden) else "failed"
    try:
        with installation.catalog.begin() as connection:
            audit_entries.end(connection, entry_id, outcome, code)
    except IngestError as fault:
        log.warning("the outcome of audit entry %s is not written: %s", entry_id, logs.scrub(fault.message))


@contextmanager
def audited(installation: Installation, attempt: Attempt) -> Iterator[None]:
    """Around an action."""
    entry_id = begin_entry(installation, attempt)
    try:
        yield
    except BaseException as error:
        end_entry(installation, entry_id, error)
        raise
    end_entry(installation, entry_id, None)


def of_command(action: str, **details: Any) -> Attempt:
    """An action of the command line: its user owns the files."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = "unknown"
    local = LOCAL.model_copy(update={"name": user})
    return Attempt(principal=local, source=f"command line on {socket.gethostname()}", action=action, details=details)


def read_audit_log(
    installation: Installation,
    principal: Principal = LOCAL,
    *,
    endpoint_id: str | None = None,
    who: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    after: str | None = None,
    first: int | None = None,
) -> AuditLog:
    """The newest first; a principal that is for some endpoints sees the entries about these."""
    with installation.catalog.read() as connection:
        found = audit_entries.page(
            connection,
            endpoint_id=endpoint_id,
            who=who,
            action=action,
            since=since.astimezone(UTC).isoformat(timespec="milliseconds") if since is not None else None,
            before=after,
            limit=first if principal.endpoints is None else None,
        )
    if principal.endpoints is not None:
        found = [entry for entry in found if entry.endpoint_id is not None and principal.is_for(entry.endpoint_id)]
    return AuditLog(entries=tuple(found[:first]))


def _spelled(details: Mapping[str, Any]) -> str:
    text = json.dumps({name: _plain(value) for name, value in details.items() if value is not None}, sort_keys=True)
    return text if len(text) <= MOST_DETAILS else json.dumps({"left out": "the details are too long"})


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value[:50]]
    return _bounded(str(value))


def _bounded(text: str) -> str:
    """Without secrets and control characters."""
    return logs.escape_controls(logs.scrub(text))[:MOST_TEXT]
