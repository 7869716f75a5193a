"""What is wrong now: units that are late, failed, cannot run, or differ from their sinks."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

import sqlalchemy as sa

from ingest_ray.catalog import comparisons, dataset_versions, unit_configs
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.freshness import UnitFreshness, read_freshness
from ingest_ray.service.units.policies.unfit_units import unfit_units


class Problem(Model):
    """`what`: in one word. `run_id`: the run that shows it."""

    endpoint_id: str
    unit_id: str
    what: str
    message: str
    code: str | None = None
    hint: str | None = None
    since: datetime | None = None
    run_id: str | None = None

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class Situation(Model):
    """`units`: the freshness of every configured unit. `problems`: the most urgent kind first."""

    units: tuple[UnitFreshness, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_situation(installation: Installation, within: Collection[str] | None = None) -> Situation:
    """`within`: of these endpoints only. Makes no request to any source or sink."""
    units = [unit for unit in read_freshness(installation) if within is None or unit.endpoint_id in within]
    enabled = {unit.ref for unit in units if unit.enabled}
    with installation.catalog.read() as connection:
        found = [
            *_failed(units),
            *_late(units),
            *_not_started(units),
            *_gone(connection, enabled),
            *_unfit(connection, installation),
            *_different(connection),
        ]
    return Situation(units=tuple(units), problems=tuple(problem for problem in found if problem.ref in enabled))


def _failed(units: Iterable[UnitFreshness]) -> Iterator[Problem]:
    for unit in units:
        last = unit.last_run
        if unit.state is RunState.FAILED and last is not None and last.error is not None:
            times = f" ({unit.failures_in_row} times in a row)" if unit.failures_in_row > 1 else ""
            yield Problem(
                endpoint_id=unit.endpoint_id,
                unit_id=unit.unit_id,
                what="failed",
                message=f"{last.error.message}{times}",
                code=last.error.code,
                hint=last.error.hint,
                since=last.finished_at,
                run_id=last.run_id,
            )


def _late(units: Iterable[UnitFreshness]) -> Iterator[Problem]:
    for unit in units:
        if unit.is_late:
            success = (
                f"the last successful run began at {unit.as_of:%Y-%m-%d %H:%M:%S} UTC"
                if unit.as_of
                else "it never succeeded"
            )
            yield Problem(
                endpoint_id=unit.endpoint_id,
                unit_id=unit.unit_id,
                what="late",
                message=success,
                since=unit.late_since,
            )


def _not_started(units: Iterable[UnitFreshness]) -> Iterator[Problem]:
    for unit in units:
        if unit.start_error:
            yield Problem(
                endpoint_id=unit.endpoint_id, unit_id=unit.unit_id, what="not started", message=unit.start_error
            )


def _gone(connection: sa.Connection, enabled: Collection[UnitRef]) -> Iterator[Problem]:
    known = dataset_versions.named(connection, [(unit.endpoint_id, unit.unit_id) for unit in enabled])
    for unit in sorted(enabled, key=str):
        version = known.get((unit.endpoint_id, unit.unit_id))
        if version is not None and version.gone_at is not None:
            yield Problem(
                endpoint_id=unit.endpoint_id,
                unit_id=unit.unit_id,
                what="gone",
                message="its dataset is no longer at the source",
                code="E_INGESTION_DATASET_UNKNOWN",
                hint=f"disable the unit, or bring the dataset back and collect: ingest-ray collect {unit.endpoint_id}",
                since=datetime.fromisoformat(version.gone_at),
            )


def _unfit(connection: sa.Connection, installation: Installation) -> Iterator[Problem]:
    for unit in unfit_units(connection, installation.settings):
        yield Problem(
            endpoint_id=unit.endpoint_id,
            unit_id=unit.unit_id,
            what="cannot run",
            message=unit.message,
            code=unit.code,
            hint=unit.hint,
        )


def _different(connection: sa.Connection) -> Iterator[Problem]:
    sinks = {item.config.ref: item.config.sink_id for item in unit_configs.listed(connection)}
    for record in comparisons.failed(connection):
        run = record.summary
        if run.error is not None and sinks.get(run.ref) == run.sink_id:
            yield Problem(
                endpoint_id=run.endpoint_id,
                unit_id=run.unit_id,
                what="differs",
                message=run.error.message,
                code=run.error.code,
                hint=run.error.hint,
                since=run.finished_at or datetime.now(UTC),
                run_id=run.run_id,
            )
