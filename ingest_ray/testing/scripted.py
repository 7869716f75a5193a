"""A source without a server, with its faults in the data: for tests of everything behind the strategy contract.

No installed package offers it: `tests/plugins` has its entry point, which tests and measurements put on their path.

A unit `numbers-<segments>x<rows>` has `segments` segments of `rows` rows each: `id`, `segment`, `at` (the cursor) and
`payload`. The config has the faults, and the file that records every call:

    {"journal": "/tmp/j", "units": ["numbers-2x1000"], "now": 1000, "changed": {"7": 1001},
     "faults": {"0:500": ["unavailable", "too-large", "stop:600"], "1:0": ["denied"]}, "slice_rows": 250}

`faults` are by the segment and lower end of a slice; each read of it takes the next one. Others are `describe`, `probe`, `scan_keys`,
and `cut 0:500`, before the piece of segment 0 that begins at 500 is cut. `unavailable:60` sets a delay of a
minute before the next try. `hold` keeps a reader waiting until there is a file `<journal>.release`; `deaf` does, too, and
ignores the first interrupt; `crawl` yields all rows and then empty batches until there is that file; `wait` until its run is stopped. The journal gets one line for every call that would have reached a source: tests check with it
that there was no connection to the source, or that nothing was read again.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, JsonValue, SecretStr

from ingest_ray.sdk.contracts import Descriptor, Probe, ReadContext
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported, SliceTooLarge, SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import (
    Axis,
    Column,
    ConnectionReport,
    Dataset,
    Effect,
    Endpoint,
    Fidelity,
    Horizon,
    Interval,
    Piece,
    RunMode,
    Scope,
    SegmentState,
    Slice,
    Unit,
    UnitSpec,
)

KEY = Axis(kind="key", columns=("id",))
CURSOR = Axis(kind="cursor", columns=("at",))
COLUMNS = (
    Column(name="id", source_type="bigint", arrow="int64", nullable=False),
    Column(name="segment", source_type="text", arrow="string", nullable=False),
    Column(name="at", source_type="bigint", arrow="int64", nullable=False),
    Column(name="payload", source_type="text", arrow="string"),
)
BATCH_ROWS = 500


class ScriptedConfig(BaseModel):
    model_config = ConfigDict(extra="forbid")

    units: list[str] = ["numbers-1x1000"]
    now: int = 1_000
    changed: dict[str, int] = {}
    deleted: list[int] = []
    hidden: list[int] = []
    bad: list[int] = []
    column_types: dict[str, str | None] = {}
    fidelities: dict[str, Fidelity] = {}
    key: list[str] = ["id"]
    extra_offset: int = 0
    bad_at: str = "soon"
    faults: dict[str, list[str]] = {}
    slice_rows: int = 250
    payload_bytes: int = 20
    is_sized: bool = True
    journal: str | None = None
    password: SecretStr | None = None


class Scripted:
    descriptor = Descriptor(
        template="testing.scripted",
        family="STREAM",
        title="Scripted rows",
        vendor="testing",
        config_model=ScriptedConfig,
        description="Rows from arithmetic, with faults on request.",
    )

    def test(self, endpoint: Endpoint) -> ConnectionReport:
        note(endpoint, "test")
        return ConnectionReport(ok=True, version="1")

    def collect(self, endpoint: Endpoint) -> Iterator[Dataset]:
        note(endpoint, "collect")
        for name in config_of(endpoint).units:
            segments, rows = shape_of(name)
            yield Dataset(
                endpoint_id=endpoint.endpoint_id,
                name=name,
                columns=columns_of(config_of(endpoint)),
                primary_key=tuple(config_of(endpoint).key),
                estimated_rows=segments * rows,
            )

    def describe(self, endpoint: Endpoint, dataset: Dataset) -> Dataset | None:
        note(endpoint, "describe")
        raise_fault(next_fault(endpoint, "describe"))
        if dataset.name not in config_of(endpoint).units:
            return None
        config = config_of(endpoint)
        return dataset.model_copy(update={"columns": columns_of(config), "primary_key": tuple(config.key)})

    def preview(self, endpoint: Endpoint, dataset: Dataset, limit: int) -> pa.Table:
        note(endpoint, "preview")
        return table(endpoint, dataset.name, "0", range(limit))

    def list_units(self, endpoint: Endpoint, datasets: Sequence[Dataset]) -> Sequence[Unit]:
        return [
            Unit(
                endpoint_id=endpoint.endpoint_id,
                unit_id=dataset.name,
                dataset_id=dataset.dataset_id,
                kind="table",
                display_name=dataset.name,
                driver_id="scripted",
                supported_modes=(RunMode.FULL, RunMode.INCREMENTAL),
            )
            for dataset in datasets
        ]

    def check(self, spec: UnitSpec) -> None:
        if spec.config.run_mode is RunMode.INCREMENTAL and spec.policy.cursor not in ("at", "id"):
            raise ModeUnsupported(f"unit '{spec.unit_id}' needs policy.cursor for INCREMENTAL")

    @contextmanager
    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
        config = config_of(spec.endpoint)
        note(spec.endpoint, "probe")
        raise_fault(next_fault(spec.endpoint, "probe"))
        segments, rows = shape_of(spec.unit_id)
        yield Probe(
            strategy="scripted ranges",
            rows=segments * rows,
            bytes=segments * rows * (config.payload_bytes + 30) if config.is_sized else None,
            horizon=Horizon(value=(config.now,), method="scripted"),
        )

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        out: list[Scope] = []
        for segment in map(str, range(shape_of(spec.unit_id)[0])):
            out += self._of_segment(spec, probe, known.get(segment, SegmentState(segment=segment)))
        return out

    def _of_segment(self, spec: UnitSpec, probe: Probe, state: SegmentState) -> list[Scope]:
        assert probe.horizon is not None
        is_full = spec.config.run_mode is RunMode.FULL
        if is_full or not state.is_loaded:
            load = Scope(
                scope_id="load",
                segment=state.segment,
                axis=KEY,
                effect=Effect.LOAD,
                horizon=None if is_full else probe.horizon.value,
                is_resumable=not is_full,
                is_insert_only=True,
            )
            return [scope for scope in state.scopes if scope.effect is Effect.LOAD and not is_full] or [load]
        scopes = list(state.scopes)
        end = next((scope.target.upper for scope in reversed(scopes)), state.watermark)
        newest = max((at for key, at in self._changes(spec, state.segment)), default=-1)
        if end is not None and int(end[0]) < int(probe.horizon.value[0]) and newest >= int(end[0]):
            target = Interval(lower=end, upper=probe.horizon.value)
            scope = Scope(
                scope_id=f"since-{end[0]}", segment=state.segment, axis=CURSOR, target=target, effect=Effect.ADVANCE
            )
            scopes.append(scope)
        return scopes

    def _changes(self, spec: UnitSpec, segment: str) -> list[tuple[int, int]]:
        segments, _ = shape_of(spec.unit_id)
        changed = config_of(spec.endpoint).changed.items()
        return [(int(key), at) for key, at in changed if str(int(key) % segments) == segment]

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        try:
            target = Interval(lower=(int(lower),) if lower else None, upper=(int(upper),) if upper else None)
        except ValueError:
            raise ConfigError(f"unit '{spec.unit_id}': '{lower}' to '{upper}' is no part of the cursor") from None
        return [
            Scope(scope_id="backfill", segment=segment, axis=CURSOR, target=target, effect=Effect.AHEAD)
            for segment in map(str, range(shape_of(spec.unit_id)[0]))
        ]

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        note(spec.endpoint, "scan_keys")
        config = config_of(spec.endpoint)
        segments, rows = shape_of(spec.unit_id)
        keys = [key for key in range(segments * rows) if key not in config.deleted and key not in config.hidden]
        for start in range(0, len(keys), BATCH_ROWS):
            yield pa.RecordBatch.from_pydict({"id": pa.array(keys[start : start + BATCH_ROWS], pa.int64())})
        raise_fault(next_fault(spec.endpoint, "scan_keys"))

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yields all but the keys that the config calls `hidden`: those are not in a key scan, and still exist."""
        hidden = config_of(spec.endpoint).hidden
        for batch in keys:
            yield batch.filter(pa.array([key not in hidden for key in batch["id"].to_pylist()]))

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        if scope.axis == CURSOR:
            yield Piece(interval=gap)
            return
        config = config_of(spec.endpoint)
        step = config.slice_rows
        rows = shape_of(spec.unit_id)[1]
        lower = int(gap.lower[0]) if gap.lower else 0
        upper = int(gap.upper[0]) if gap.upper else rows
        previous = gap.lower
        for point in range(lower + step, upper, step):
            raise_fault(next_fault(spec.endpoint, f"cut {scope.segment}:{point - step}"))
            yield Piece(
                interval=Interval(lower=previous, upper=(point,)),
                estimated_rows=step,
                estimated_bytes=step * (config.payload_bytes + 30),
            )
            previous = (point,)
        raise_fault(next_fault(spec.endpoint, f"cut {scope.segment}:{previous[0] if previous else 0}"))
        yield Piece(interval=Interval(lower=previous, upper=gap.upper), estimated_rows=step)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        """Rows are numbered inside a segment: the key is `number * segments + segment`."""
        note(spec.endpoint, f"read {piece.scope_id} {piece.segment} {list(bounds(piece.interval))}")
        fault = next_fault(spec.endpoint, f"{piece.segment}:{bounds(piece.interval)[0]}")
        if fault == "deaf":
            with suppress(KeyboardInterrupt):
                wait_for_release(spec.endpoint)
        if fault in ("hold", "deaf"):
            wait_for_release(spec.endpoint)
        if fault == "wait":
            while not context.is_stopping():
                time.sleep(0.01)
            raise SourceUnavailable("scripted: interrupted")
        numbers = self._numbers(spec, piece)
        if fault is not None and fault.startswith("stop:"):
            numbers = [number for number in numbers if number < int(fault[5:])]
        for start in range(0, len(numbers), BATCH_ROWS):
            part = self._good(spec, piece, numbers[start : start + BATCH_ROWS], context)
            rows = table(spec.endpoint, spec.unit_id, piece.segment, part)
            yield from shaped(rows, context.schema, config_of(spec.endpoint).extra_offset).to_batches()
        while fault == "crawl" and not is_released(spec.endpoint):
            time.sleep(0.02)
            yield pa.RecordBatch.from_pylist([], context.schema)
        raise_fault(None if fault == "crawl" else fault)

    def _good(self, spec: UnitSpec, piece: Slice, numbers: Sequence[int], context: ReadContext) -> list[int]:
        """Leaves out the rows that the config calls bad, and rejects them, with a text for `at` that is no number."""
        config = config_of(spec.endpoint)
        segments, _ = shape_of(spec.unit_id)
        good = []
        for number in numbers:
            key = number * segments + int(piece.segment)
            if key in config.bad:
                raw: dict[str, JsonValue] = {"id": key, "segment": piece.segment, "at": config.bad_at, "payload": "bad"}
                context.reject(raw, f"'{config.bad_at}' is no number", "at")
            elif key not in config.deleted:
                good.append(number)
        return good

    def _numbers(self, spec: UnitSpec, piece: Slice) -> Sequence[int]:
        segments, rows = shape_of(spec.unit_id)
        lower, upper = bounds(piece.interval)
        if piece.axis == KEY:
            return range(lower, min(upper, rows))
        changes = self._changes(spec, piece.segment)
        return sorted(key // segments for key, at in changes if lower <= at < upper)


def columns_of(config: ScriptedConfig) -> tuple[Column, ...]:
    """Returns the usual columns, changed by `column_types`: another type, `null` for a dropped column, or a new column."""
    kept = [column for column in COLUMNS if config.column_types.get(column.name, column.arrow) is not None]
    known = {column.name for column in COLUMNS}
    new = [
        Column(name=name, source_type=str(arrow), arrow=str(arrow))
        for name, arrow in config.column_types.items()
        if name not in known and arrow is not None
    ]
    retyped = [
        column.model_copy(
            update={"arrow": arrow, "source_type": arrow} if (arrow := config.column_types.get(column.name)) else {}
        )
        for column in kept
    ]
    return tuple(
        column.model_copy(update={"fidelity": config.fidelities.get(column.name, Fidelity.EXACT)})
        for column in (*retyped, *new)
    )


def raise_fault(fault: str | None) -> None:
    match (fault or "").partition(":"):
        case ("unavailable", _, seconds):
            raise SourceUnavailable("scripted: the source is busy", retry_after_s=float(seconds or 0.01))
        case ("denied", _, _):
            raise SourceDenied("scripted: no grant")
        case ("too-large", _, _):
            raise SliceTooLarge("scripted: too large", bytes_per_row=1e6)
        case ("stop", _, position):
            raise SliceTooLarge("scripted: stopped", position=(int(position),))


def is_released(endpoint: Endpoint) -> bool:
    return Path(f"{config_of(endpoint).journal}.release").exists()


def wait_for_release(endpoint: Endpoint) -> None:
    while not is_released(endpoint):
        time.sleep(0.05)


def table(endpoint: Endpoint, unit: str, segment: str, numbers: Sequence[int]) -> pa.Table:
    config = config_of(endpoint)
    segments, _ = shape_of(unit)
    keys = [number * segments + int(segment) for number in numbers]
    ats = [config.changed.get(str(key), 0) for key in keys]
    return pa.table(
        {
            "id": pa.array(keys, pa.int64()),
            "segment": pa.array([segment] * len(keys), pa.string()),
            "at": pa.array(ats, pa.int64()),
            "payload": pa.array(
                [f"{key}@{at}".ljust(config.payload_bytes, ".") for key, at in zip(keys, ats, strict=True)]
            ),
        }
    )


def shaped(rows: pa.Table, schema: pa.Schema, offset: int) -> pa.Table:
    """Returns the rows in the schema's columns and types; a new column holds the row's key plus `offset`."""
    extra = pc.add(rows["id"], offset)
    columns = [rows[field.name] if field.name in rows.column_names else extra for field in schema]
    return pa.table([column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema)


def bounds(interval: Interval) -> tuple[int, int]:
    lower = int(interval.lower[0]) if interval.lower else 0
    return lower, int(interval.upper[0]) if interval.upper else 2**62


def shape_of(unit: str) -> tuple[int, int]:
    segments, _, rows = unit.removeprefix("numbers-").partition("x")
    return int(segments), int(rows)


_checked: tuple[object, ScriptedConfig] = (None, ScriptedConfig())


def config_of(endpoint: Endpoint) -> ScriptedConfig:
    """Checked once for each content: a slice asks for it six times."""
    global _checked
    content, config = _checked
    if content != endpoint.config:
        config = ScriptedConfig.model_validate(endpoint.config)
        _checked = deepcopy(endpoint.config), config
    return config


def note(endpoint: Endpoint, line: str) -> None:
    journal = config_of(endpoint).journal
    if journal is not None:
        with Path(journal).open("a") as file:
            file.write(json.dumps([os.getpid(), line]) + "\n")


def noted(journal: Path) -> list[str]:
    """Returns the calls that the journal has."""
    if not journal.exists():
        return []
    return [json.loads(line)[1] for line in journal.read_text().splitlines()]


def next_fault(endpoint: Endpoint, call: str) -> str | None:
    config = config_of(endpoint)
    faults: list[JsonValue] = list(config.faults.get(call, []))
    if not faults or config.journal is None:
        return None
    taken = Path(f"{config.journal}.{call.replace(':', '-')}")
    count = taken.stat().st_size if taken.exists() else 0
    with taken.open("a") as file:
        file.write("x")
    return str(faults[count]) if count < len(faults) else None


scripted = Scripted()
