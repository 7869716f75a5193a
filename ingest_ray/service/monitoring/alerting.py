"""Opens and closes incidents by what is observed, and writes the messages about them to the outbox, in one transaction.

Any number of servers may do so: a transaction runs alone, and decides by what the ones before it wrote. A process that dies has done
all of it, or nothing.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial

import sqlalchemy as sa

from ingest_ray.alerts.message import CARRIED, Kind, Message, MessageIncident
from ingest_ray.catalog import incidents, notifications, periodic_tasks, run_records, unit_configs
from ingest_ray.catalog.incidents import Incident
from ingest_ray.catalog.notifications import Notification
from ingest_ray.core.incidents import RUNS_KEPT, Opening, step
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunMode
from ingest_ray.service.installation import Installation, new_id
from ingest_ray.service.monitoring.freshness import read_freshness
from ingest_ray.service.monitoring.observations import (
    Observation,
    hidden,
    observe_expiries,
    observe_log,
    observe_run,
    observe_units,
)
from ingest_ray.service.runs.change_log import read_unit_log
from ingest_ray.service.units.unit_status import UnitLog
from ingest_ray.settings import AlertCondition, AlertSettings, ReceiverSettings

log = logging.getLogger(__name__)

RUNS_SEEN = "alerts: runs seen"
FIRST_LOOK = timedelta(minutes=15)  # how far back the first look of an installation goes
LOGS = "alerts: logs seen"
LOGS_EVERY_S = 25.0  # each look is a connection to a source; an incident is told within a minute
LOGS_AT_ONCE = 4
OVERLAP = timedelta(minutes=5)  # clocks of hosts differ, and records are written late

Group = tuple[AlertCondition, str]


def check_incidents(installation: Installation, now: datetime | None = None) -> int:
    """Returns how many messages were written. `now` is for tests."""
    moment = now or datetime.now(UTC)
    units = read_freshness(installation, now=moment)
    with installation.catalog.begin(is_alone=True) as connection:
        seen = [*observe_units(units), *observe_expiries(connection, installation.settings, moment)]
        seen += _observe_runs(connection, installation.settings.alerts, moment)
        known = {incident.key: incident for incident in incidents.listed(connection)}
        seen += _vanished(known.values(), {unit.ref for unit in units})
        _judge(connection, known, seen, moment)
        return _announce(connection, installation.settings.alerts, known.values(), moment)


def check_logs(installation: Installation, now: datetime | None = None) -> int:
    """Asks the sources of units in run mode CHANGES, enabled or not, what they keep of their logs; returns how many answered. One of
    several servers does so at a time. The next look of `check_incidents` writes the messages."""
    moment, most_mb = now or datetime.now(UTC), installation.settings.alerts.max_retained_mb
    with installation.catalog.begin(is_alone=True) as connection:
        wanted = [
            item.config.ref for item in unit_configs.listed(connection) if item.config.run_mode is RunMode.CHANGES
        ]
        last = periodic_tasks.claimed_at(connection, LOGS)
        if not wanted or (last is not None and (moment - datetime.fromisoformat(last)).total_seconds() < LOGS_EVERY_S):
            return 0
        periodic_tasks.claim(connection, LOGS, at=run_records.instant(moment))
    with ThreadPoolExecutor(LOGS_AT_ONCE, thread_name_prefix="logs") as threads:
        found = [log for log in threads.map(partial(_log_of, installation), wanted) if log is not None]
    seen = [observation for log in found if (observation := observe_log(log, most_mb)) is not None]
    with installation.catalog.begin(is_alone=True) as connection:
        known = {incident.key: incident for incident in incidents.listed(connection)}
        _judge(connection, known, seen, moment)
    return len(seen)


def _log_of(installation: Installation, unit: UnitRef) -> UnitLog | None:
    """None for a unit that cannot be read from a log: its runs say why."""
    try:
        return read_unit_log(installation, unit)
    except IngestError as error:
        log.debug("the log of '%s' was not looked at: %s", unit, error.message)
        return None


def _judge(
    connection: sa.Connection,
    known: dict[tuple[AlertCondition, str, str], Incident],
    seen: Iterable[Observation],
    now: datetime,
) -> None:
    for observation in seen:
        before = known.get(observation.key)
        after = _judged(before, observation, now)
        if after is not None and after != before:
            known[after.key] = after
            incidents.put(connection, after)


def _observe_runs(connection: sa.Connection, settings: AlertSettings, now: datetime) -> list[Observation]:
    """Of the runs that ended since the last look, in order."""
    position = periodic_tasks.position(connection, RUNS_SEEN)
    since = datetime.fromisoformat(position) if position is not None else now - FIRST_LOOK
    records = run_records.ended_since(connection, run_records.instant(since - OVERLAP))
    newest = max((record.finished_at for record in records if record.finished_at), default=None)
    if newest is not None and newest != position:
        periodic_tasks.claim(connection, RUNS_SEEN, position=max(newest, position or ""))
    return [
        seen
        for record in records
        for seen in observe_run(record.summary, record.finished_at or "", settings.max_quarantined_rows)
    ]


def _vanished(known: Iterable[Incident], units: Iterable[object]) -> list[Observation]:
    """Incidents of units that are not configured any more are over."""
    refs = {str(unit) for unit in units}
    return [
        Observation(condition=found.condition, endpoint_id=found.endpoint_id, subject=found.subject, is_present=False)
        for found in known
        if found.is_open and found.condition != "secret-expires" and f"{found.endpoint_id}:{found.subject}" not in refs
    ]


def _judged(before: Incident | None, seen: Observation, now: datetime) -> Incident | None:
    """The incident after an observation; None where there is none, and where a run was counted before."""
    if before is None and not seen.is_present:
        return None
    is_event = bool(seen.ended_at)
    if before is not None and is_event:
        if seen.is_present and seen.run_id in before.runs:
            return None
        if not seen.is_present and seen.ended_at <= before.event_at:
            return None
    opening = _opening_of(before)
    found = step(opening, seen.is_present, now)
    at = run_records.instant(now)
    incident = before or Incident(
        condition=seen.condition, endpoint_id=seen.endpoint_id, subject=seen.subject, incident_id="", opened_at=at
    )
    changes: dict[str, object] = {
        "openings": tuple(map(run_records.instant, found.after.openings)),
        "absent_since": run_records.instant(found.after.absent_since) if found.after.absent_since else None,
    }
    if is_event and seen.is_present:
        changes |= {
            "runs": (*incident.runs, seen.run_id)[-RUNS_KEPT:],
            "event_at": max(incident.event_at, seen.ended_at),
        }
    if found.begins:
        changes |= {"incident_id": new_id(), "opened_at": at, "closed_at": None, "is_opening_due": True}
        changes |= {"run_id": seen.run_id, "code": seen.code, "text": hidden(seen.text), "count": seen.count}
    if found.ends:
        changes |= {"closed_at": at, "is_recovery_due": True}
    return incident.model_copy(update=changes)


def _opening_of(incident: Incident | None) -> Opening:
    if incident is None:
        return Opening()
    openings = tuple(map(datetime.fromisoformat, incident.openings))
    absent = datetime.fromisoformat(incident.absent_since) if incident.absent_since is not None else None
    return Opening(incident.is_open, openings, absent)


def _announce(connection: sa.Connection, settings: AlertSettings, known: Iterable[Incident], now: datetime) -> int:
    """Writes one message per group of incidents and receiver; a group that had one a moment ago waits."""
    due: dict[Group, list[Incident]] = defaultdict(list)
    for incident in known:
        if incident.is_opening_due or incident.is_recovery_due:
            due[incident.condition, incident.endpoint_id].append(incident)
    written = 0
    for group, members in due.items():
        name = f"alerts: {group[0]} {group[1]}"[:100]
        last = periodic_tasks.claimed_at(connection, name)
        if last is not None and (now - datetime.fromisoformat(last)).total_seconds() < settings.group_s:
            continue
        periodic_tasks.claim(connection, name, at=run_records.instant(now))
        opened = [member for member in members if member.is_opening_due]
        over = [member for member in members if member.is_recovery_due]
        for kind, about in (("incident.opened", opened), ("incident.recovered", over)):
            if about:
                message = message_of(kind, group, about, settings, now)  # type: ignore[arg-type]
                written += sum(_queue(connection, message, receiver) for receiver in settings.receivers)
        for member in members:
            incidents.put(connection, member.model_copy(update={"is_opening_due": False, "is_recovery_due": False}))
    return written


def message_of(kind: Kind, group: Group, about: Sequence[Incident], settings: AlertSettings, now: datetime) -> Message:
    fields = set(MessageIncident.model_fields) - (set() if settings.details else {"text"})
    listed = sorted(about, key=lambda incident: incident.subject)[:CARRIED]
    is_opening = kind == "incident.opened"
    shown = [incident.model_dump(include=fields - ({"closed_at"} if is_opening else set())) for incident in listed]
    return Message(
        message_id=f"msg_{new_id()}",
        kind=kind,
        at=run_records.instant(now),
        condition=group[0],
        endpoint_id=group[1],
        total=len(about),
        incidents=tuple(MessageIncident.model_validate(incident) for incident in shown),
    )


def _queue(connection: sa.Connection, message: Message, receiver: ReceiverSettings) -> int:
    if not is_wanted(message, receiver):
        return 0
    document = message.model_copy(update={"message_id": f"{message.message_id}-{receiver.id}"}).model_dump_json()
    notification = Notification(
        notification_id=new_id(),
        receiver=receiver.id,
        created_at=message.at,
        document=document,
        next_attempt_at=message.at,
    )
    notifications.add(connection, notification)
    return 1


def is_wanted(message: Message, receiver: ReceiverSettings) -> bool:
    """Whether a receiver takes this condition, and this endpoint; what belongs to no endpoint goes to all."""
    if receiver.conditions and message.condition not in receiver.conditions:
        return False
    patterns = receiver.endpoints
    return not patterns or not message.endpoint_id or any(fnmatchcase(message.endpoint_id, each) for each in patterns)
