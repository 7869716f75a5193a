"""The status of units with checkpoints: last run, watermarks, counts, errors. Imports nothing heavy, because it is called often."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib import import_module

from pydantic import Field, JsonValue

from ingest_ray.catalog import endpoints, run_records, unit_configs
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.core.positions import display_value
from ingest_ray.kv.keys import unit_key
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import EndpointNotFound, IngestError, UnitNotFound
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunFault, RunMode, RunState, RunSummary, SegmentState, UnitConfig
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.freshness import UnitFreshness, read_freshness
from ingest_ray.service.runs.run_liveness import current_summary
from ingest_ray.service.runs.schedule_views import NextRun, list_next_runs
from ingest_ray.service.units.unit_status import UnitLog, current_state, read_checkpoint


class SegmentStatus(Model):
    """`is_loaded`: the first full load is complete. `open_scopes`: parts that are not complete yet."""

    segment: str
    watermark: JsonValue = None
    is_loaded: bool = False
    generation: int = 1
    open_scopes: int = 0


class UnitReport(Model):
    endpoint_id: str
    unit_id: str
    sink_id: str
    enabled: bool
    run_mode: str
    state: RunState
    segments: tuple[SegmentStatus, ...] = ()
    last_run: RunSummary | None = None
    epoch: int = 0
    commits: int = 0
    error: RunFault | None = None
    freshness: UnitFreshness | None = None
    history: tuple[RunSummary, ...] = ()
    """Of one unit only: its last runs, the newest first."""
    log: UnitLog | None = None
    """Of one unit in run mode CHANGES only: asked from the source."""
    schedule: str | None = None
    """In words, of all tasks; None: it runs when it is started."""
    next_runs: tuple[NextRun, ...] = ()
    layout: str | None = None
    """How its table is divided into partitions and files, where the policy says so."""

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class StatusReport(Model):
    home: str
    units: tuple[UnitReport, ...] = Field(default=())
    collections: dict[str, str | None] = Field(default_factory=dict)
    """When each endpoint's metadata was collected; None: never."""


def read_status(installation: Installation, endpoint_id: str | None = None, unit_id: str | None = None) -> StatusReport:
    """Raises `EndpointNotFound`, `UnitNotFound`."""
    with installation.catalog.read() as connection:
        known = endpoints.listed(connection, "source")
        vendors = {entry.endpoint.endpoint_id: entry.vendor for entry in known}
        if endpoint_id is not None and endpoint_id not in vendors:
            raise EndpointNotFound(
                f"endpoint '{endpoint_id}' is not registered", hint=f"registered: {', '.join(vendors) or 'none'}"
            )
        configured = [
            item.config
            for item in unit_configs.listed(connection, endpoint_id)
            if unit_id in (None, item.config.unit_id) or fnmatchcase(item.config.unit_id, str(unit_id))
        ]
        if unit_id is not None and not configured:
            raise UnitNotFound(
                f"endpoint '{endpoint_id}' has no configured unit '{unit_id}'", hint=f"ingest-ray units {endpoint_id}"
            )
        latest = run_records.latest(connection, endpoint_id)
        running = {run.summary.ref: run for run in run_records.running(connection, endpoint_id)}
        is_single = unit_id is not None and len(configured) == 1
        history = run_records.recent(connection, configured[0].ref) if is_single else []
        names = [endpoint_id] if endpoint_id is not None else list(vendors)
        collected = {name: _collected_at(run_records.collection_runs(connection, name)) for name in names}
    kv = installation.kv
    fresh = {unit.ref: unit for unit in read_freshness(installation, endpoint_id)}
    reports = [
        _report_of(kv, vendors[config.endpoint_id], config, latest.get(config.ref), running.get(config.ref), history)
        for config in configured
        if config.endpoint_id in vendors
    ]
    following: dict[UnitRef, list[NextRun]] = {}
    for run in list_next_runs(installation, None if endpoint_id is None else [endpoint_id]):
        following.setdefault(UnitRef(run.endpoint_id, run.unit_id), []).append(run)
    reports = [
        report.model_copy(
            update={"freshness": fresh.get(report.ref), "next_runs": tuple(following.get(report.ref, ()))}
        )
        for report in reports
    ]
    if unit_id is not None:
        reports = [_with_log(installation, report) for report in reports]
    return StatusReport(home=installation.settings.home, units=tuple(reports), collections=collected)


def _with_log(installation: Installation, report: UnitReport) -> UnitReport:
    if report.run_mode != RunMode.CHANGES:
        return report
    change_log = import_module("ingest_ray.service.runs.change_log")  # which imports what runs need
    try:
        return report.model_copy(update={"log": change_log.read_unit_log(installation, report.ref)})
    except IngestError:  # its dataset or its strategy is gone, which a run says
        return report


def _report_of(
    kv: KV,
    vendor: str,
    config: UnitConfig,
    record: RunRecord | None,
    running: RunRecord | None,
    history: Sequence[RunRecord],
) -> UnitReport:
    checkpoint, fault = read_checkpoint(kv, unit_key(vendor, config.ref, config.sink_id))
    state, last, error = current_state(record, running, checkpoint, fault)
    return UnitReport(
        endpoint_id=config.endpoint_id,
        unit_id=config.unit_id,
        sink_id=config.sink_id,
        enabled=config.enabled,
        run_mode=config.run_mode,
        state=state,
        segments=tuple(map(_segment, checkpoint.segments.values())) if checkpoint is not None else (),
        last_run=last,
        epoch=checkpoint.epoch if checkpoint is not None else 0,
        commits=checkpoint.sequence if checkpoint is not None else 0,
        error=error,
        schedule=config.schedule_text,
        history=tuple(current_summary(run, checkpoint) for run in history),
        layout=None if config.policy.layout is None else str(config.policy.layout),
    )


def _segment(state: SegmentState) -> SegmentStatus:
    return SegmentStatus(
        segment=state.segment,
        watermark=display_value(state.watermark),
        is_loaded=state.is_loaded,
        generation=state.generation,
        open_scopes=len(state.scopes),
    )


def _collected_at(collections: list[run_records.Collection]) -> str | None:
    return next((item.completed_at for item in collections if item.status == "SUCCEEDED"), None)
