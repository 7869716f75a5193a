"""GraphQL of what is monitored: freshness of units, incidents, test messages. It is not part of the shared contract."""

from datetime import datetime
from typing import Self

import strawberry
from strawberry import ID

from ingest_ray.catalog.incidents import Incident
from ingest_ray.graphql.conversions import checked_count
from ingest_ray.graphql.request_context import RequestInfo, call_as_admin, call_as_viewer
from ingest_ray.sdk.errors import RoleForbidden
from ingest_ray.service.monitoring.delivery import read_alert_state, send_test_messages
from ingest_ray.service.monitoring.freshness import UnitFreshness


@strawberry.type
class IngestionFreshness:
    """`asOf`: when the last successful run began; `lagS`: the seconds since then. `isLate`: the unit breaks `policy.fresh_within`."""

    fresh_within_s: float | None
    last_success_at: datetime | None
    as_of: datetime | None
    lag_s: float | None
    newest_row_at: datetime | None
    newest_row_age_s: float | None
    is_late: bool
    late_since: datetime | None
    failures_in_row: int
    start_error: str | None
    """Why the last scheduled run could not start."""
    last_run_id: str | None
    """Of the last ordinary run that ended, as all below."""
    last_run_seconds: float | None
    rows_read: float | None
    rows_committed: float | None
    rows_quarantined: float | None
    bytes_staged: float | None

    @classmethod
    def of(cls, found: UnitFreshness) -> Self:
        last = found.last_run
        return cls(
            fresh_within_s=found.fresh_within_s,
            last_success_at=found.last_success_at,
            as_of=found.as_of,
            lag_s=found.lag_s,
            newest_row_at=found.newest_row_at,
            newest_row_age_s=found.newest_row_age_s,
            is_late=found.is_late,
            late_since=found.late_since,
            failures_in_row=found.failures_in_row,
            start_error=found.start_error,
            last_run_id=last.run_id if last is not None else None,
            last_run_seconds=last.seconds if last is not None else None,
            rows_read=last.rows.read if last is not None else None,
            rows_committed=last.rows.committed if last is not None else None,
            rows_quarantined=last.rows.quarantined if last is not None else None,
            bytes_staged=last.bytes_staged if last is not None else None,
        )


@strawberry.type
class IngestionIncident:
    """`subject`: the unit, or what else the condition is about. `endpointId`: null for what belongs to no endpoint."""

    id: ID
    condition: str
    endpoint_id: ID | None
    subject: str
    opened_at: datetime
    closed_at: datetime | None
    run_id: str | None
    code: str | None
    count: float | None

    @classmethod
    def of(cls, found: Incident) -> Self:
        return cls(
            id=ID(found.incident_id),
            condition=found.condition,
            endpoint_id=ID(found.endpoint_id) if found.endpoint_id else None,
            subject=found.subject,
            opened_at=datetime.fromisoformat(found.opened_at),
            closed_at=datetime.fromisoformat(found.closed_at) if found.closed_at is not None else None,
            run_id=found.run_id,
            code=found.code,
            count=found.count,
        )


@strawberry.type
class AlertDelivery:
    """The result of a test message; `error` is null where the receiver took it."""

    receiver: str
    form: str
    error: str | None


@strawberry.type
class MonitoringQueries:
    @strawberry.field
    async def ingestion_incidents(
        self, info: RequestInfo, only_open: bool = True, first: int | None = 50
    ) -> list[IngestionIncident]:
        """The newest first. Those that belong to no endpoint are seen with access to all endpoints."""
        within = await info.context.visible_endpoints()
        state = await call_as_viewer(info, read_alert_state, info.context.installation, only_open=only_open)
        found = [each for each in state.incidents if within is None or each.endpoint_id in within]
        return [IngestionIncident.of(each) for each in found[: checked_count(first, 50)]]


@strawberry.type
class MonitoringMutations:
    @strawberry.mutation
    async def test_alert_receivers(self, info: RequestInfo, receiver: str | None = None) -> list[AlertDelivery]:
        """Sends a test message at once to one receiver of `alerts.receivers`, or to all. Needs access to all endpoints."""
        if (await info.context.current_principal()).endpoints is not None:
            raise RoleForbidden("receivers are of all endpoints", hint="use a token without --endpoint")
        delivered = await call_as_admin(info, send_test_messages, info.context.installation, receiver)
        return [AlertDelivery(receiver=each.receiver, form=each.form, error=each.error) for each in delivered]
