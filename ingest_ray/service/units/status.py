"""Where every unit stands: last run, watermarks, counts, errors. Imports nothing heavy: it is asked often."""

from pydantic import Field, JsonValue

from ingest_ray.catalog import endpoints, run_records, unit_configs
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.kv.keys import unit_key
from ingest_ray.sdk.errors import EndpointNotFound, StateUnreadable, UnitNotFound
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Model, RunFault, RunState, RunSummary, SegmentState
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.run_liveness import current_summary
from ingest_ray.state import UnitState, read_states
from ingest_ray.state.unit_state import shown


class SegmentStatus(Model):
    """`is_loaded`: the first full load is complete. `open_scopes`: parts that are begun or owed."""

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
    history: tuple[RunSummary, ...] = ()
    """Of one unit only: its last runs, the newest first."""

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
            if unit_id in (None, item.config.unit_id)
        ]
        if unit_id is not None and not configured:
            raise UnitNotFound(
                f"endpoint '{endpoint_id}' has no configured unit '{unit_id}'", hint=f"ingest-ray units {endpoint_id}"
            )
        latest = run_records.latest(connection, endpoint_id)
        going_on = {run.summary.ref: run for run in run_records.running(connection, endpoint_id)}
        history = run_records.recent(connection, configured[0].ref) if unit_id is not None else []
        asked = [endpoint_id] if endpoint_id is not None else list(vendors)
        collected = {name: _collected_at(run_records.collection_runs(connection, name)) for name in asked}
    found = []
    for config in configured:
        if config.endpoint_id not in vendors:
            continue
        key = unit_key(vendors[config.endpoint_id], config.ref, config.sink_id)
        record = latest.get(config.ref)
        try:
            state, fault = read_states(installation.kv, key), None
        except StateUnreadable as error:
            state, fault = None, RunFault(code=error.code, message=error.message, hint=error.hint)
        found.append(
            UnitReport(
                endpoint_id=config.endpoint_id,
                unit_id=config.unit_id,
                sink_id=config.sink_id,
                enabled=config.enabled,
                run_mode=config.run_mode,
                history=tuple(current_summary(item, state) for item in history),
                **_now(record, going_on.get(config.ref), state, fault),
            )
        )
    return StatusReport(home=installation.settings.home, units=tuple(found), collections=collected)


def _now(
    record: RunRecord | None, going_on: RunRecord | None, state: UnitState | None, fault: RunFault | None
) -> dict[str, object]:
    """The last ordinary run tells the state, unless another one (a backfill, say) is going on."""
    last = current_summary(record, state) if record is not None else None
    is_running = going_on is not None and current_summary(going_on, state).state is RunState.RUNNING
    segments = state.segments.values() if state is not None else ()
    return {
        "state": _state(fault, last, is_running=is_running),
        "segments": tuple(_segment(segment) for segment in segments),
        "last_run": last,
        "epoch": state.epoch if state else 0,
        "commits": state.sequence if state else 0,
        "error": fault or (last.error if last else None),
    }


def _state(fault: RunFault | None, last: RunSummary | None, *, is_running: bool) -> RunState:
    if fault is not None:
        return RunState.FAILED
    if is_running:
        return RunState.RUNNING
    return last.state if last is not None else RunState.IDLE


def _segment(state: SegmentState) -> SegmentStatus:
    return SegmentStatus(
        segment=state.segment,
        watermark=shown(state.watermark),
        is_loaded=state.is_loaded,
        generation=state.generation,
        open_scopes=len(state.scopes),
    )


def _collected_at(found: list[run_records.Collection]) -> str | None:
    return next((item.completed_at for item in found if item.status == "SUCCEEDED"), None)
