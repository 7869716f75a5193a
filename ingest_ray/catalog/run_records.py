"""Run records and collection records."""

import operator
from collections.abc import Collection as CollectionOf
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa

from ingest_ray.catalog import unit_totals
from ingest_ray.catalog.dataset_versions import Differences
from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import collections as c
from ingest_ray.catalog.tables import runs as t
from ingest_ray.sdk.errors import StateConflict
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunState, RunSummary

FEW = 500  # units that one statement names individually


class RunRecord(Model):
    """`owner`: the process that wrote the start, as JSON. By it, a live run is distinguished from one whose process died."""

    summary: RunSummary
    started_at: str
    finished_at: str | None = None
    owner: str


class Collection(Model):
    collection_id: str
    endpoint_id: str
    status: Literal["RUNNING", "SUCCEEDED", "FAILED"]
    started_at: str
    completed_at: str | None = None
    error: str | None = None
    found: int = 0
    added: int = 0
    changed: int = 0
    gone: int = 0
    requested_by: str | None = None
    filters: str | None = None
    """JSON of the run options."""
    owner: str | None = None


def start(connection: sa.Connection, summary: RunSummary, owner: str) -> None:
    """Raises `StateConflict` for a run id that has a record."""
    if find(connection, summary.run_id) is not None:
        raise StateConflict(f"run '{summary.run_id}' has a record already")
    connection.execute(t.insert().values(started_at=now(), owner=owner, **_values(summary)))


def finish(connection: sa.Connection, summary: RunSummary) -> None:
    """Completes the record that `start` wrote, and counts the run in the totals of its unit, unless its record had an end."""
    query = sa.select(t.c.state, t.c.started_at).where(t.c.run_id == summary.run_id)
    before = connection.execute(query.with_for_update()).first()
    if before is None:
        raise StateConflict(f"run '{summary.run_id}' has no record")
    connection.execute(t.update().where(t.c.run_id == summary.run_id).values(finished_at=now(), **_values(summary)))
    is_run = summary.task != "verify"
    if is_run and before.state == RunState.RUNNING and summary.state is not RunState.RUNNING:
        unit_totals.add_run(connection, summary, before.started_at)


def note_progress(connection: sa.Connection, summary: RunSummary) -> None:
    """Replaces the summary of a run that goes on; a record that has an end keeps it."""
    is_open = (t.c.run_id == summary.run_id, t.c.state == RunState.RUNNING)
    connection.execute(t.update().where(*is_open).values(document=summary.model_dump_json()))


def reopen(connection: sa.Connection, summary: RunSummary) -> None:
    """Removes the end of a run that is attempted again."""
    connection.execute(t.update().where(t.c.run_id == summary.run_id).values(finished_at=None, **_values(summary)))


def adopt(connection: sa.Connection, run_id: str, owner: str) -> bool:
    """Makes another process the owner of a run without an end; False where the run has ended."""
    change = t.update().where(t.c.run_id == run_id, t.c.state == RunState.RUNNING).values(owner=owner)
    return connection.execute(change).rowcount == 1


def replace_owner(connection: sa.Connection, run_id: str, before: str, after: str) -> bool:
    """Of a run without an end; False where another process has become its owner."""
    is_same = (t.c.run_id == run_id, t.c.state == RunState.RUNNING, t.c.owner == before)
    return connection.execute(t.update().where(*is_same).values(owner=after)).rowcount == 1


def find(connection: sa.Connection, run_id: str) -> RunRecord | None:
    row = connection.execute(sa.select(t).where(t.c.run_id == run_id)).mappings().first()
    return None if row is None else read_row(row)


def recent(connection: sa.Connection, unit: UnitRef, limit: int = 20) -> list[RunRecord]:
    """The newest first."""
    query = sa.select(t).where(t.c.endpoint_id == unit.endpoint_id, t.c.unit_id == unit.unit_id)
    query = query.order_by(t.c.started_at.desc(), t.c.run_id.desc()).limit(limit)
    return [read_row(row) for row in connection.execute(query).mappings()]


def latest(connection: sa.Connection, endpoint_id: str | None = None) -> dict[UnitRef, RunRecord]:
    """The newest ordinary run of every unit; backfills and replays do not count."""
    return _latest(connection, [] if endpoint_id is None else [t.c.endpoint_id == endpoint_id])


def latest_of(connection: sa.Connection, units: CollectionOf[UnitRef]) -> dict[UnitRef, RunRecord]:
    """The newest ordinary run of the given units."""
    if not units:
        return {}
    conditions: list[sa.ColumnElement[bool]] = [t.c.endpoint_id.in_({unit.endpoint_id for unit in units})]
    if len(units) <= FEW:
        conditions.append(t.c.unit_id.in_({unit.unit_id for unit in units}))
    return _latest(connection, conditions)


def _latest(connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]]) -> dict[UnitRef, RunRecord]:
    newest = sa.select(t.c.endpoint_id, t.c.unit_id, sa.func.max(t.c.started_at).label("at"))
    newest = newest.where(t.c.task == "ingest", *conditions)
    found = newest.group_by(t.c.endpoint_id, t.c.unit_id).subquery()
    same = sa.and_(
        t.c.endpoint_id == found.c.endpoint_id,
        t.c.unit_id == found.c.unit_id,
        t.c.started_at == found.c.at,
        t.c.task == "ingest",
    )
    rows = connection.execute(sa.select(t).join(found, same).order_by(t.c.run_id)).mappings()
    return {UnitRef(row["endpoint_id"], row["unit_id"]): read_row(row) for row in rows}


def end_collections(connection: sa.Connection, error: str) -> None:
    """Ends the collections that have no end, because their process is not that of this catalog."""
    values = {"status": "FAILED", "completed_at": now(), "error": error}
    connection.execute(c.update().where(c.c.status == "RUNNING").values(**values))


def running(connection: sa.Connection, endpoint_id: str | None = None) -> Sequence[RunRecord]:
    """Runs without an end in their record: live, or their process died. Comparisons are not among them: no run waits for one."""
    query = sa.select(t).where(t.c.state == RunState.RUNNING, t.c.task != "verify").order_by(t.c.started_at)
    if endpoint_id is not None:
        query = query.where(t.c.endpoint_id == endpoint_id)
    return [read_row(row) for row in connection.execute(query).mappings()]


def ended_since(connection: sa.Connection, at: str) -> list[RunRecord]:
    """The runs of every task that ended at `at` or later, in the order of their ends."""
    query = sa.select(t).where(t.c.finished_at >= at).order_by(t.c.finished_at, t.c.run_id)
    return [read_row(row) for row in connection.execute(query).mappings()]


def page(
    connection: sa.Connection,
    *,
    endpoint_id: str | None = None,
    within: CollectionOf[str] | None = None,
    unit_ids: CollectionOf[str] | None = None,
    state: RunState | None = None,
    before: str | None = None,
    limit: int = 50,
) -> list[RunRecord]:
    """Runs, newest first; `before`: the last id of the page before (ids sort by time)."""
    query = sa.select(t).order_by(t.c.run_id.desc()).limit(limit)
    for column, value in ((t.c.endpoint_id, endpoint_id), (t.c.state, state)):
        if value is not None:
            query = query.where(column == value)
    for column, values in ((t.c.endpoint_id, within), (t.c.unit_id, unit_ids)):
        if values is not None:
            query = query.where(column.in_(values))
    if before is not None:
        query = query.where(t.c.run_id < before)
    return [read_row(row) for row in connection.execute(query).mappings()]


def units_of(connection: sa.Connection, endpoint_id: str) -> list[str]:
    """The units of the endpoint that have runs, also those that are not configured any more."""
    query = sa.select(t.c.unit_id).where(t.c.endpoint_id == endpoint_id).distinct().order_by(t.c.unit_id)
    return list(connection.execute(query).scalars())


def counted(connection: sa.Connection) -> dict[tuple[str, str], int]:
    """The number of runs by endpoint and state."""
    query = sa.select(t.c.endpoint_id, t.c.state, sa.func.count()).group_by(t.c.endpoint_id, t.c.state)
    return {(endpoint_id, state): count for endpoint_id, state, count in connection.execute(query)}


def last_success(connection: sa.Connection) -> dict[str, str]:
    """The time of the last successful run, by endpoint."""
    query = sa.select(t.c.endpoint_id, sa.func.max(t.c.finished_at)).where(t.c.state == RunState.SUCCEEDED)
    found = connection.execute(query.group_by(t.c.endpoint_id))
    return {endpoint_id: at for endpoint_id, at in found if at is not None}


def begin_collection(
    connection: sa.Connection,
    collection_id: str,
    endpoint_id: str,
    *,
    owner: str | None = None,
    requested_by: str | None = None,
    filters: str | None = None,
) -> None:
    connection.execute(
        c.insert().values(
            collection_id=collection_id,
            endpoint_id=endpoint_id,
            status="RUNNING",
            started_at=now(),
            found=0,
            added=0,
            changed=0,
            gone=0,
            owner=owner,
            requested_by=requested_by,
            filters=filters,
        )
    )


def end_collection(connection: sa.Connection, collection_id: str, result: Differences | str) -> None:
    """`result`: the changes, or the error that ended the collection."""
    values: dict[str, object] = {"completed_at": now()}
    if isinstance(result, str):
        values |= {"status": "FAILED", "error": result}
    else:
        values |= {"status": "SUCCEEDED", "found": result.found, "added": len(result.added)}
        values |= {"changed": len(result.changed), "gone": len(result.gone)}
    connection.execute(c.update().where(c.c.collection_id == collection_id).values(**values))


def collection_runs(connection: sa.Connection, endpoint_id: str, limit: int = 20) -> list[Collection]:
    """The newest first."""
    query = sa.select(c).where(c.c.endpoint_id == endpoint_id).order_by(c.c.started_at.desc()).limit(limit)
    return [Collection.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def collections(
    connection: sa.Connection,
    *,
    endpoint_ids: CollectionOf[str] | None = None,
    collection_id: str | None = None,
    status: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 50,
) -> list[Collection]:
    """The newest first. `since` and `until` are bounds of the start, both inclusive."""
    query = sa.select(c).order_by(c.c.started_at.desc()).limit(limit)
    if endpoint_ids is not None:
        query = query.where(c.c.endpoint_id.in_(endpoint_ids))
    for column, compared, value in (
        (c.c.collection_id, operator.eq, collection_id),
        (c.c.status, operator.eq, status),
        (c.c.started_at, operator.ge, since),
        (c.c.started_at, operator.le, until),
    ):
        if value is not None:
            query = query.where(compared(column, value))
    return [Collection.model_validate(dict(row)) for row in connection.execute(query).mappings()]


def newest_collections(
    connection: sa.Connection, endpoint_ids: CollectionOf[str], limit: int
) -> dict[str, list[Collection]]:
    """The newest `limit` collections of each endpoint, in one statement."""
    position = sa.func.row_number().over(partition_by=c.c.endpoint_id, order_by=c.c.started_at.desc()).label("position")
    ranked = sa.select(c, position).where(c.c.endpoint_id.in_(endpoint_ids)).subquery()
    query = sa.select(ranked).where(ranked.c.position <= limit).order_by(ranked.c.endpoint_id, ranked.c.position)
    found: dict[str, list[Collection]] = {}
    for row in connection.execute(query).mappings():
        item = Collection.model_validate({name: value for name, value in row.items() if name != "position"})
        found.setdefault(item.endpoint_id, []).append(item)
    return found


def latest_collections(connection: sa.Connection, endpoint_ids: CollectionOf[str]) -> dict[str, Collection]:
    """The newest successful collection of each endpoint."""
    done = sa.select(c.c.endpoint_id, sa.func.max(c.c.started_at).label("at"))
    done = done.where(c.c.status == "SUCCEEDED", c.c.endpoint_id.in_(endpoint_ids)).group_by(c.c.endpoint_id)
    newest = done.subquery()
    same = sa.and_(c.c.endpoint_id == newest.c.endpoint_id, c.c.started_at == newest.c.at, c.c.status == "SUCCEEDED")
    rows = connection.execute(sa.select(c).join(newest, same)).mappings()
    return {row["endpoint_id"]: Collection.model_validate(dict(row)) for row in rows}


def instant(moment: datetime) -> str:
    """A time in the format of the records."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def is_collected(connection: sa.Connection, endpoint_id: str) -> bool:
    query = sa.select(c.c.collection_id).where(c.c.endpoint_id == endpoint_id, c.c.status == "SUCCEEDED").limit(1)
    return connection.execute(query).first() is not None


def _values(summary: RunSummary) -> dict[str, object]:
    ids = {name: getattr(summary, name) for name in ("run_id", "endpoint_id", "unit_id", "sink_id")}
    return {**ids, "state": summary.state.value, "task": summary.task, "document": summary.model_dump_json()}


def read_row(row: sa.RowMapping) -> RunRecord:
    return RunRecord(
        summary=RunSummary.model_validate_json(row["document"]),
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        owner=row["owner"],
    )
