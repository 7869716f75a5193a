"""The plain data that every part passes to the next: small, frozen, JSON-serializable.

Nothing here holds rows. Words are those of the glossary in `docs/glossary.md`.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, StringConstraints, model_validator

Position = tuple[int | str, ...]
"""A point on an axis, one item per column, as the strategy spells it. The core compares positions for equality only:
their order is the source's business (collations differ), and a slice's `rank` tells it."""


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # a command uses few of the models


class Axis(Model):
    """What the intervals of a scope are measured along. All intervals are half-open: `[lower, upper)`."""

    kind: Literal["cursor", "key", "tid", "whole"]
    columns: tuple[str, ...] = ()
    bounds: Literal["[)"] = "[)"


class Interval(Model):
    """`[lower, upper)`; None is an open end."""

    lower: Position | None = None
    upper: Position | None = None


class Fidelity(StrEnum):
    EXACT = "exact"
    WIDENED = "widened"
    LOSSY = "lossy"
    REFUSED = "refused"


def worst_fidelity(first: Fidelity, second: Fidelity) -> Fidelity:
    """The one that keeps less of a value."""
    order = list(Fidelity)
    return max(first, second, key=order.index)


class Column(Model):
    """One column of a dataset: what the source calls its type, and the Arrow type that its values are staged in.

    `arrow` is the text form of `ingest_ray.sdk.arrow_types`. `logical` names what the Arrow type alone does not say
    (`uuid`, `json`, `enum`, `interval`, ...), for sinks that have such a type.
    """

    name: str
    source_type: str
    arrow: str
    nullable: bool = True
    logical: str | None = None
    fidelity: Fidelity = Fidelity.EXACT
    note: str | None = None
    description: str | None = None


class Dataset(Model):
    """What metadata collection found at an endpoint. `name` is unique per endpoint and is the unit's id."""

    endpoint_id: str
    name: str
    kind: str = "table"
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    description: str | None = None
    labels: tuple[str, ...] = ()
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    """What the strategy wants to remember for planning, e.g. the quoted name or the collation of a key."""

    @property
    def dataset_id(self) -> str:
        return f"{self.endpoint_id}:{self.name}"

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    @property
    def fingerprint(self) -> str:
        """Changes when a column's name, order, type or nullability changes, and for nothing else."""
        text = "\n".join(f"{c.name}\t{c.source_type}\t{c.arrow}\t{c.nullable}" for c in self.columns)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class RunMode(StrEnum):
    FULL = "FULL"
    INCREMENTAL = "INCREMENTAL"


class WriteMode(StrEnum):
    APPEND = "append"
    UPSERT = "upsert"
    REPLACE = "replace"


class DataMode(StrEnum):
    RAW = "raw"
    CDM = "cdm"


class Unit(Model):
    """The ingestible face of one dataset."""

    endpoint_id: str
    unit_id: str
    dataset_id: str
    kind: str
    display_name: str
    driver_id: str
    supported_modes: tuple[RunMode, ...] = (RunMode.FULL,)
    default_mode: RunMode = RunMode.FULL
    cdm_model_ids: tuple[str, ...] = ()
    stats: dict[str, JsonValue] = Field(default_factory=dict)


_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_lookback(value: object) -> object:
    """`10m`, `36h`, `2d`, `30s` -> seconds; a plain integer stays (cursor units for a numeric cursor, else seconds)."""
    if isinstance(value, str) and value[:-1].isdigit() and value[-1:] in _UNITS_S:
        return int(value[:-1]) * _UNITS_S[value[-1]]
    if isinstance(value, str) and value.isdigit():
        return int(value)
    if isinstance(value, str):
        raise ValueError("a number with a unit, such as 30s, 10m, 36h or 2d")
    return value


Span = Annotated[int, BeforeValidator(parse_lookback), Field(ge=0)]
"""Seconds for a cursor of time; cursor units for a numeric cursor."""


class Policy(Model):
    """How a unit is read and written. Every field has a default that is right for most tables."""

    cursor: str | None = None
    primary_key: tuple[str, ...] = ()
    write: WriteMode | None = None
    lookback: Span = 0
    lag: Span | None = None
    """Declared safety distance of the horizon where the source cannot tell it; None: the strategy's default."""
    cursor_nulls: Literal["include", "exclude", "raise"] = "include"
    columns: tuple[str, ...] = ()
    where: str | None = None
    allow_lossy: bool = False
    on_schema_change: Literal["evolve", "freeze", "discard_column", "quarantine_row"] = "evolve"
    target_slice_bytes: Annotated[int, Field(ge=64 * 1024)] = 32 * 1024 * 1024
    max_parallel: Annotated[int, Field(ge=1, le=1024)] | None = None
    max_connections: Annotated[int, Field(ge=2, le=1024)] | None = None
    """Over all readers of all runs that have a cap at this endpoint; the planner of a run needs one of them."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    max_quarantined_rows: Annotated[int, Field(ge=0)] = 10_000
    max_delete_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    deletes: Literal["tombstone", "delete"] = "tombstone"
    snapshot: bool = True
    """One snapshot of the source for all slices of a run, where the source has such a thing."""
    keep_staging: Span = 0
    """Seconds that staged rows are kept after a run, so that `remap` can map them again. CDM mode only."""


class Endpoint(Model):
    """A configured source or sink. Secrets in `config` are references or ciphertext until `secrets.resolve`."""

    endpoint_id: str
    template: str
    config: dict[str, JsonValue] = Field(default_factory=dict)


class CdmSettings(Model):
    """How a unit's rows become rows of the common data model.

    `models`: for units without a mapper of their own, an SQL expression over the unit's columns for each field of each model.
    """

    system: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None
    """Stands in every id. None: the endpoint's id. Units with one system have users, items and pages in common."""
    version: Annotated[str, StringConstraints(min_length=1, max_length=40)] = "1"
    """Of `models`: raise it with each change, for it stands on every row."""
    models: dict[str, dict[str, str]] = Field(default_factory=dict)


class UnitConfig(Model):
    """In CDM mode rows go to the sink endpoint, and `sink_id`, which names the checkpoint, is the same."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    enabled: bool = False
    run_mode: RunMode = RunMode.FULL
    mode: DataMode = DataMode.RAW
    policy: Policy = Policy()
    filters: dict[str, JsonValue] = Field(default_factory=dict)
    sink_endpoint_id: str | None = None
    cdm: CdmSettings = CdmSettings()
    schedule_kind: Literal["MANUAL", "INTERVAL"] = "MANUAL"
    schedule_interval_minutes: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_sink(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("mode") == DataMode.CDM and values.get("sink_endpoint_id"):
            return {**values, "sink_id": values["sink_endpoint_id"]}
        return values


class Learned(Model):
    """What finished runs of a unit taught its next plan."""

    bytes_per_row: float | None = None
    rows_per_second: float | None = None


class UnitSpec(Model):
    """One unit, ready to be planned and read: all that a strategy is told about it."""

    endpoint: Endpoint
    dataset: Dataset
    config: UnitConfig
    learned: Learned = Learned()

    @property
    def policy(self) -> Policy:
        return self.config.policy

    @property
    def unit_id(self) -> str:
        return self.config.unit_id


class Horizon(Model):
    """The upper bound of a run. `value` is exclusive: rows at or above it belong to a later run."""

    value: Position
    method: str
    note: str | None = None


class Island(Model):
    """A part of a scope that is durably in the sink. Ranks give its place: the core never orders positions."""

    interval: Interval
    first_rank: tuple[int, ...]
    last_rank: tuple[int, ...]


class Effect(StrEnum):
    """What completing a scope means for its segment."""

    LOAD = "load"
    """All load scopes complete: the watermark becomes their horizon."""
    ADVANCE = "advance"
    """The watermark follows the leading gap-free part."""
    REPEAT = "repeat"
    """A look-back: owed until it is complete; moves nothing."""
    AHEAD = "ahead"
    """Read again by every run; nothing is remembered."""


class Scope(Model):
    """A target interval of one segment and the part of it that is committed.

    `scope_id` is unique in its segment. `is_resumable` is False where a new run cannot go on with what an older
    one did: the scope then starts again as a new generation. `is_insert_only` says that no row of it can be in the
    sink already, so that an upsert may be an insert.
    """

    scope_id: str
    segment: str
    axis: Axis
    target: Interval = Interval()
    effect: Effect
    nulls: bool = False
    horizon: Position | None = None
    is_resumable: bool = True
    is_insert_only: bool = False
    estimated_rows: int | None = None
    done: tuple[Island, ...] = ()


class SegmentState(Model):
    """The checkpoint of one segment. `watermark`: everything below it is durably in the sink."""

    segment: str
    generation: int = 1
    sequence: int = 0
    watermark: Position | None = None
    is_loaded: bool = False
    scopes: tuple[Scope, ...] = ()


class Piece(Model):
    """One cut of a gap, as a strategy yields it: the core adds names, ranks and budgets and makes a `Slice` of it."""

    interval: Interval = Interval()
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    hints: dict[str, JsonValue] = Field(default_factory=dict)
    """Small facts that only the strategy's `read` understands."""


class Slice(Model):
    """A bounded piece of a segment: the work of one reader task."""

    segment: str
    scope_id: str
    rank: tuple[int, ...]
    axis: Axis
    interval: Interval = Interval()
    nulls: bool = False
    effect: Effect
    is_insert_only: bool = False
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    snapshot: str | None = None
    hints: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def slice_id(self) -> str:
        """Unique in a run and safe as a file name."""
        segment = quote(self.segment, safe="")
        if len(segment) > 80:
            segment = segment[:60] + hashlib.sha256(segment.encode()).hexdigest()[:16]
        return f"{segment}~{self.scope_id}~{'.'.join(map(str, self.rank))}"


class PageInfo(Model):
    name: str
    rows: int
    bytes: int
    checksum: str


class Handle(Model):
    """The address of one slice's staged pages. It is the manifest: what it does not list does not exist."""

    schema_number: Literal[1] = 1
    provider: str
    uri: str
    run_id: str
    slice_id: str
    attempt: int
    pages: tuple[PageInfo, ...] = ()
    rows: int
    bytes: int
    schema_fingerprint: str
    row_hash: str


class Staged(Model):
    """What a reader reports. `covered` is smaller than the slice's interval when the reader stopped at a position."""

    handle: Handle
    covered: Interval
    is_complete: bool = True
    rows_read: int
    rows_quarantined: int = 0
    quarantine_uri: str | None = None
    bytes_per_row: float | None = None
    seconds: float = 0.0


class Target(Model):
    """Where one unit lands in one sink. `model`: in the table of that CDM model, beside the rows of other units."""

    sink_id: str
    endpoint_id: str
    unit_id: str
    app_id: str
    """Names this unit and sink in the sink's own ledger."""
    write: WriteMode
    key: tuple[str, ...] = ()
    version_column: str | None = None
    """The row with the larger value wins; without it, the later arrival."""
    generation: int = 1
    run_id: str = ""
    model: str | None = None
    deletes: Literal["tombstone", "delete"] = "tombstone"
    """Of a model: how rows are erased that their source row does not make any more."""


class MappedModel(Model):
    """What a mapper made for one model of one slice. `rows` does not count the markers that are staged with them."""

    model_id: str
    handle: Handle
    rows: int


class Mapped(Model):
    """What a mapper reports of one slice: source rows that it read, and where the models' rows are staged.

    `rows` are the source rows that were mapped, `row_hash` is that of all that it read.
    """

    models: tuple[MappedModel, ...]
    rows: int
    row_hash: str
    rows_quarantined: int = 0
    quarantine_uri: str | None = None
    seconds: float = 0.0

    @property
    def handles(self) -> tuple[Handle, ...]:
        return tuple(model.handle for model in self.models)

    @property
    def bytes(self) -> int:
        return sum(handle.bytes for handle in self.handles)


class ModelCounts(Model):
    """Rows of one CDM model. `erased`: rows that their source row does not make any more."""

    mapped: int = 0
    committed: int = 0
    deduplicated: int = 0
    erased: int = 0

    def plus(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class Prepared(Model):
    """One slice's rows at the sink, invisible to its readers. A sink that may lose them in a crash tells so when they are committed
    (`StagingLost`). `payload` belongs to the sink."""

    slice_id: str
    rows: int
    bytes: int = 0
    row_hash: str
    rows_deduplicated: int = 0
    is_insert_only: bool = False
    models: dict[str, int] = Field(default_factory=dict)
    """In CDM mode `rows` are source rows, and these the rows of each model that were made of them."""
    payload: dict[str, JsonValue] = Field(default_factory=dict)
    seconds: float = 0.0


class Receipt(Model):
    epoch: int
    sequence: int
    rows_committed: int
    rows_deduplicated: int = 0
    models: dict[str, ModelCounts] = Field(default_factory=dict)
    location: str | None = None
    seconds: float = 0.0


class Provisioned(Model):
    """The table of a CDM model in a sink. `schema_name`: empty where the database has no schemas."""

    model_id: str
    schema_name: str = ""
    table_name: str
    location: str


class ColumnFit(Model):
    """How one column arrives in a sink; a line of the fidelity certificate."""

    column: str
    arrow: str
    sink_type: str
    fidelity: Fidelity
    note: str | None = None


class Diagnostic(Model):
    level: Literal["info", "warning", "error"]
    code: str
    message: str
    hint: str | None = None


class ConnectionReport(Model):
    ok: bool
    version: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


class RunState(StrEnum):
    IDLE = "IDLE"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    FAILED = "FAILED"
    SUCCEEDED = "SUCCEEDED"


class RowCounts(Model):
    read: int = 0
    staged: int = 0
    committed: int = 0
    quarantined: int = 0
    deduplicated: int = 0

    def plus(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class SliceCounts(Model):
    """`degraded`: of those committed, the ones of which something is in quarantine. No deletes are derived from slices."""

    planned: int = 0
    committed: int = 0
    failed: int = 0
    degraded: int = 0

    def plus(self, other: Self) -> Self:
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class RunFault(Model):
    code: str
    message: str
    hint: str | None = None


class RunSummary(Model):
    """What a run did, for people and clients; the same document is the run record."""

    run_id: str
    endpoint_id: str
    unit_id: str
    sink_id: str
    state: RunState
    task: Literal["ingest", "backfill", "replay", "remap", "reconcile"] = "ingest"
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    """Of a backfill: `from` and `to`; of a reconciliation: the counts of keys, and how rows were erased."""
    schema_changes: tuple[str, ...] = ()
    """What had changed at the source since the unit's last run, and was followed."""
    rows: RowCounts = RowCounts()
    models: dict[str, ModelCounts] = Field(default_factory=dict)
    """In CDM mode: rows of each model; `rows` counts source rows."""
    bytes_staged: int = 0
    slices: SliceCounts = SliceCounts()
    watermarks: dict[str, JsonValue] = Field(default_factory=dict)
    target: str | None = None
    strategy: str | None = None
    horizon: Horizon | None = None
    phases: dict[str, float] = Field(default_factory=dict)
    """Seconds spent per phase, summed over parallel workers: plan, read, prepare, commit, state."""
    retries: int = 0
    seconds: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    executor: str | None = None
    requested_by: str | None = None
    """Who or what started it, where that is known: a person's name, `schedule`."""
    error: RunFault | None = None
