"""GraphQL types of what is monitored: freshness of units. They are not part of the shared contract."""

from datetime import datetime
from typing import Self

import strawberry

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
