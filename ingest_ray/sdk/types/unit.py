"""A unit and its configuration: modes, policy, and the specification that a strategy gets."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, model_validator

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types.dataset import Dataset
from ingest_ray.sdk.types.endpoint import Endpoint
from ingest_ray.sdk.types.layout import Layout
from ingest_ray.sdk.types.model import Model
from ingest_ray.sdk.types.schedule import CronSchedule, TaskSchedule


class RunMode(StrEnum):
    FULL = "FULL"
    INCREMENTAL = "INCREMENTAL"
    CHANGES = "CHANGES"
    """A first load, then every change from the database's log."""


class WriteMode(StrEnum):
    APPEND = "append"
    UPSERT = "upsert"
    REPLACE = "replace"
    HISTORY = "history"
    """Every version of a row, by key, each with the time in which it was valid."""

    @property
    def merges(self) -> bool:
        """True where rows are merged by key: reading a row again doubles nothing."""
        return self in (WriteMode.UPSERT, WriteMode.HISTORY)


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
    is_replaced: bool = False
    """Each run reads all of it and replaces what the sink has, also where it is configured as INCREMENTAL: rows without a counterpart at
    the source must not stay, such as grants of readers."""
    cdm_model_ids: tuple[str, ...] = ()
    stats: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


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


Duration = Annotated[int, BeforeValidator(parse_lookback), Field(ge=1)]
"""Seconds, at least one."""


Mask = Literal["hmac", "redact", "last4", "year"]
"""How the values of a column are replaced; `ingest_ray.engine.masking` has what each becomes."""


class Policy(Model):
    """How a unit is read and written. Every field has a default that is right for most tables."""

    cursor: str | None = None
    cursors: tuple[str, ...] = ()
    """Candidates: the first that a dataset has becomes its `cursor`. A list under `cursor` is stored here."""
    fallback: Literal["full"] | None = None
    """`full`: an INCREMENTAL unit whose dataset has no such cursor is a full refresh."""
    primary_key: tuple[str, ...] = ()
    write: WriteMode | None = None
    lookback: Span | None = None
    """What is read again below the watermark; None: the strategy's default, 0: nothing."""
    lag: Span | None = None
    """Declared safety distance of the horizon where the source has none of its own; None: the strategy's default."""
    cursor_zone: str | None = None
    """The time zone, such as `Europe/Berlin`, of a cursor without a zone; None: unknown, which the horizon allows for."""
    cursor_nulls: Literal["include", "exclude", "raise"] = "include"
    columns: tuple[str, ...] = ()
    exclude_columns: tuple[str, ...] = ()
    """Columns that are never read; one that a dataset does not have is no fault, so that a rule can name it for many."""
    mask: dict[str, Mask | None] = Field(default_factory=dict)
    """Columns whose values are replaced before they are staged. None: no mask, where an earlier rule has one."""
    rename: dict[str, str | None] = Field(default_factory=dict)
    """The source's names of columns, and their names in the target. None: no other name, where an earlier rule has one."""
    layout: Layout | None = None
    """How the table is divided into partitions and files, in sinks of lakes. None: as it is; a new table has no partitions."""
    where: str | None = None
    allow_lossy: bool = False
    on_schema_change: Literal["evolve", "freeze", "discard_column", "quarantine_row"] = "evolve"
    target_slice_bytes: Annotated[int, Field(ge=64 * 1024)] = 32 * 1024 * 1024
    max_parallel: Annotated[int, Field(ge=1, le=1024)] | None = None
    max_connections: Annotated[int, Field(ge=2, le=1024)] | None = None
    """Shared by all readers of all runs that have a cap at this endpoint; the planner of a run needs one of them."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    max_quarantined_rows: Annotated[int, Field(ge=0)] = 10_000
    max_quarantine_fraction: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Of the rows of a run that replaces a table: with more in quarantine, nothing is replaced."""
    max_delete_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    deletes: Literal["tombstone", "delete"] | None = None
    """What becomes of rows that are gone at the source. None: `delete` where changes are read from the log, else `tombstone`."""
    snapshot: bool = True
    """One snapshot of the source for all slices of a run, where the source has snapshots."""
    max_retained_mb: Annotated[int, Field(ge=1)] | None = None
    """CHANGES: with more of the source's log retained for the unit, a run stops; None: no bound of ours."""
    keep_staging: Span = 0
    """Seconds that staged rows are kept after a run, so that `remap` can map them again. CDM mode only."""
    verify_every: Span = 0
    """Seconds after which a run that succeeded compares the unit with its sink again; 0: only `verify` does."""
    verify_rows: bool = False
    """Such a comparison compares the values of rows, too, not only keys."""
    fresh_within: Duration | None = None
    """The promise to those who use the rows: a unit is late where its last successful run began longer ago than this. None: none."""

    @property
    def masks(self) -> dict[str, Mask]:
        return {name: mask for name, mask in self.mask.items() if mask is not None}

    @property
    def renames(self) -> dict[str, str]:
        return {old: new for old, new in self.rename.items() if new is not None and new != old}

    @model_validator(mode="before")
    @classmethod
    def _cursor_list(cls, values: object) -> object:
        if isinstance(values, dict) and isinstance(values.get("cursor"), list | tuple):
            return {**values, "cursor": None, "cursors": values["cursor"]}
        return values


class CdmSettings(Model):
    """How a unit's rows become rows of the common data model.

    `models`: for units without a mapper of their own, an SQL expression over the unit's columns for each field of each model.
    """

    system: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None
    """A part of every id. None: the endpoint's id. Units with one system share users, items and pages."""
    version: Annotated[str, StringConstraints(min_length=1, max_length=40)] = "1"
    """The version of `models`, stored with every row: raise it with each change."""
    models: dict[str, dict[str, str]] = Field(default_factory=dict)


class UnitConfig(Model):
    """In CDM mode rows go to the sink endpoint, and `sink_id`, which names the checkpoint, is the same."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    table: str | None = None
    """The unit's table in its sink, or the path of its folder; None: the sink's own name for the unit."""
    enabled: bool = False
    run_mode: RunMode = RunMode.FULL
    mode: DataMode = DataMode.RAW
    policy: Policy = Policy()
    filters: dict[str, JsonValue] = Field(default_factory=dict)
    sink_endpoint_id: str | None = None
    cdm: CdmSettings = CdmSettings()
    schedule_kind: Literal["MANUAL", "INTERVAL", "CRON"] = "MANUAL"
    schedule_interval_minutes: int | None = None
    schedule_calendar: CronSchedule | None = None
    """Of kind CRON."""
    task_schedules: tuple[TaskSchedule, ...] = ()
    """Of other tasks than ordinary runs; at most one of each task."""

    @model_validator(mode="before")
    @classmethod
    def _one_sink(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("mode") == DataMode.CDM and values.get("sink_endpoint_id"):
            return {**values, "sink_id": values["sink_endpoint_id"]}
        return values

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)

    @property
    def is_scheduled(self) -> bool:
        return self.schedule_kind != "MANUAL" or bool(self.task_schedules)

    @property
    def schedule_text(self) -> str | None:
        """In words; None: the unit runs when it is started."""
        parts = [f"every {self.schedule_interval_minutes} min"] if self.schedule_kind == "INTERVAL" else []
        parts += [str(self.schedule_calendar)] if self.schedule_kind == "CRON" else []
        return ", ".join([*parts, *map(str, self.task_schedules)]) or None


class Learned(Model):
    """Measurements of finished runs of a unit, for its next plan."""

    bytes_per_row: float | None = None
    rows_per_second: float | None = None
    points_per_row: float | None = None
    """What reading a row cost of the source's hourly quota."""
    whole_rows: int | None = None
    """The rows that the last full run read."""


class UnitSpec(Model):
    """One unit, ready to be planned and read: everything that a strategy gets about it."""

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

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint.endpoint_id, self.config.unit_id)

    @property
    def is_cdm(self) -> bool:
        return self.config.mode is DataMode.CDM

    @property
    def key(self) -> tuple[str, ...]:
        return self.policy.primary_key or self.dataset.primary_key

    @property
    def reads_log(self) -> bool:
        return self.config.run_mode is RunMode.CHANGES

    @property
    def deletes(self) -> Literal["tombstone", "delete"]:
        return self.policy.deletes or ("delete" if self.reads_log else "tombstone")

    @property
    def write_mode(self) -> WriteMode:
        """The policy's, else the one that loses nothing: a full refresh replaces, an incremental run upserts where there is a key."""
        if self.policy.write is not None:
            return self.policy.write
        if self.config.run_mode is RunMode.FULL:
            return WriteMode.REPLACE
        if self.is_cdm:
            return WriteMode.UPSERT  # by the models' ids, whether the source has a key or not
        return WriteMode.UPSERT if self.key else WriteMode.APPEND
