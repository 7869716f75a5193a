"""What is wrong now, and what is right again: observations of units, of runs that ended, and of what expires.

An observation is *present*, or *absent*: a condition about which nothing is known stays as it is.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from ingest_ray import logs
from ingest_ray.catalog import endpoints, stored_tokens
from ingest_ray.sdk.types import Model, RunState, RunSummary
from ingest_ray.service.monitoring.freshness import UnitFreshness
from ingest_ray.service.units.unit_status import UnitLog
from ingest_ray.settings import AlertCondition, Settings

MB = 1_000_000
CLIENT_CERTIFICATE = "client_cert"  # the field of templates that have one


class Observation(Model):
    """`run_id` and `ended_at`: of the run that shows it, where one does; a state has none. `closes`: without a message of recovery."""

    condition: AlertCondition
    endpoint_id: str
    subject: str
    is_present: bool
    run_id: str | None = None
    ended_at: str = ""
    code: str | None = None
    text: str | None = None
    count: int | None = None

    @property
    def key(self) -> tuple[AlertCondition, str, str]:
        return self.condition, self.endpoint_id, self.subject


def observe_units(units: Iterable[UnitFreshness]) -> Iterator[Observation]:
    """`failed` and `late`, for every configured unit. A paused run says nothing about the unit."""
    for unit in units:
        ids = {"endpoint_id": unit.endpoint_id, "subject": unit.unit_id}
        lag = None if unit.lag_s is None else int(unit.lag_s)
        yield Observation(condition="late", is_present=unit.is_late, count=lag, **ids)
        last = unit.last_run
        if not unit.enabled:
            yield Observation(condition="failed", is_present=False, **ids)
        elif unit.start_error is not None:
            code = unit.start_error.rpartition("[")[2].rstrip("]")
            yield Observation(condition="failed", is_present=True, code=code, text=unit.start_error, **ids)
        elif last is not None and last.state in (RunState.FAILED, RunState.SUCCEEDED):
            fault = last.error
            yield Observation(
                condition="failed",
                is_present=last.state is RunState.FAILED,
                run_id=last.run_id,
                code=fault.code if fault is not None else None,
                text=fault.message if fault is not None else None,
                **ids,
            )


def observe_run(run: RunSummary, ended_at: str, most_quarantined: int) -> Iterator[Observation]:
    """What a run that ended shows besides its failure."""
    code = run.error.code if run.error is not None else None
    is_success = run.state is RunState.SUCCEEDED
    is_clean = is_success and run.task == "ingest"
    quarantined = run.rows.quarantined

    def seen(condition: AlertCondition, is_present: bool, **more: object) -> Observation:
        text = run.error.message if run.error is not None else None
        found = {"endpoint_id": run.endpoint_id, "subject": run.unit_id, "run_id": run.run_id, "ended_at": ended_at}
        return Observation.model_validate(
            {"condition": condition, "is_present": is_present, "code": code, "text": text, **found, **more}
        )

    if run.schema_changes or code == "E_SOURCE_CHANGED":
        yield seen("drifted", True, text="; ".join(run.schema_changes) or (run.error.message if run.error else None))
    elif is_clean:
        yield seen("drifted", False)
    if quarantined > most_quarantined or code == "E_QUARANTINE_LIMIT":
        yield seen("quarantined", True, count=quarantined)
    elif is_clean:
        yield seen("quarantined", False)
    if code == "E_DELETES_REFUSED":
        yield seen("delete-refused", True)
    elif is_success and run.task in ("reconcile", "repair"):
        yield seen("delete-refused", False)
    if code == "E_ROWS_DIFFER":
        yield seen("verify-unequal", True)
    elif is_success and run.task in ("verify", "repair"):
        yield seen("verify-unequal", False)


def observe_log(log: UnitLog, most_mb: int) -> Observation | None:
    """Of a unit that reads its source's log. None where the source did not answer."""
    if log.error is not None:
        return None
    retained_mb = (log.retained_bytes or 0) // MB
    is_above = log.max_retained_mb is None and retained_mb > most_mb
    return Observation(
        condition="log-retained",
        endpoint_id=log.endpoint_id,
        subject=log.unit_id,
        is_present=log.is_alarming or is_above,
        code="E_LOG_GONE" if log.state == "lost" else None,
        text=f"'{log.name}' is {log.state}, and {retained_mb} MB of the log are kept",
        count=retained_mb,
    )


def observe_expiries(connection: sa.Connection, settings: Settings, now: datetime) -> Iterator[Observation]:
    """Tokens of the service, and certificates of endpoints' clients."""
    soon = now + timedelta(days=settings.alerts.expires_within_days)
    for token in stored_tokens.listed(connection):
        if token.expires_at is None:
            continue
        expires = datetime.fromisoformat(token.expires_at)
        is_near = token.revoked_at is None and now - timedelta(days=1) < expires < soon
        text = f"expires at {expires:%Y-%m-%d %H:%M} UTC"
        subject = f"token {token.token_id} of {token.name}"
        yield Observation(condition="secret-expires", endpoint_id="", subject=subject, is_present=is_near, text=text)
    for entry in endpoints.listed(connection):
        path = entry.endpoint.config.get(CLIENT_CERTIFICATE)
        expires_at = _expiry_of(Path(path)) if isinstance(path, str) else None
        if expires_at is not None:
            text = f"expires at {expires_at:%Y-%m-%d %H:%M} UTC"
            yield Observation(
                condition="secret-expires",
                endpoint_id=entry.endpoint.endpoint_id,
                subject="client certificate",
                is_present=expires_at < soon,
                text=text,
            )


def _expiry_of(path: Path) -> datetime | None:
    """None where it cannot be read here: it may be a reference, or a file of another machine."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.astimezone(UTC)
    except (OSError, ValueError):
        return None


def hidden(text: str | None) -> str | None:
    return None if text is None else logs.scrub(text)[:500]
