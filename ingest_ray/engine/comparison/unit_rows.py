"""Both sides of one unit in one form: the columns of a key, those that a look-up needs besides, and the hash of the row.

A hash is that of the values in the types in which the sink stores them, so that a type that the sink does not have makes no
difference. Without values to compare it is 0.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

import pyarrow as pa
from pydantic import JsonValue

from ingest_ray.engine.comparison.spool import HASH
from ingest_ray.engine.readers.quarantine import strategy_of
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.renamed_sink import open_sink_of
from ingest_ray.engine.steps.unit_layout import opened_spec, staged_schema, target_of
from ingest_ray.sdk.contracts import (
    KeyScan,
    KeySumReader,
    KeySums,
    MisfitFinder,
    Notes,
    ReadContext,
    RowLookup,
    RowReader,
    RowSource,
    find_capability,
)
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.row_hash import row_hashes
from ingest_ray.sdk.types import Axis, Effect, Interval, RunMode, SegmentState, Slice, UnitSpec
from ingest_ray.sinks.canonical_json import comparable

KEY_SCAN = "key-scan"  # the scope of the one block that is read by a key scan
NO_LIMIT = 2**62  # a block is never cut while it is read
Bounds = tuple[int | None, int | None]
Deletes = Literal["tombstone", "delete"]
Compared = Literal["keys", "versions", "rows"]


class ComparedRows(Protocol):
    """The rows of one unit, at the source and in its sink."""

    keys: pa.Schema
    """The columns of a key, and after them those that a look-up needs besides."""
    width: int
    """The number of columns of a key."""
    compared: Compared
    can_look_up: bool
    """False where the source cannot read rows again by their keys: differences are then neither confirmed nor read again."""
    not_compared: tuple[str, ...]
    """Columns whose values the sink cannot return exactly."""

    def blocks(self, bounds: Sequence[Bounds] | None) -> Iterator[Slice]:
        """The blocks that together are all rows of the source, or those of `bounds`."""
        ...

    def source_rows(self, block: Slice) -> Iterator[pa.RecordBatch]: ...

    def sink_rows(self, bounds: Sequence[Bounds] | None) -> Iterator[pa.RecordBatch]: ...

    def look_up(self, keys: pa.RecordBatch, known: Mapping[str, SegmentState] | None) -> Iterator[pa.RecordBatch]: ...

    def proven_gone(self, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Those of `keys` (the columns of a key) that the source proves not to exist."""
        ...

    def key_span(self) -> tuple[int, int] | None:
        """None where keys cannot be compared by sums."""
        ...

    def source_sums(self, keys: KeyRange) -> Mapping[int, KeySum]: ...

    def sink_sums(self, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]: ...

    def source_notes(self) -> Sequence[str]:
        """What a person should know about how the source is read."""
        ...

    def erase(self, epoch: int, sequence: int, keys: Iterable[pa.RecordBatch], how: Deletes | None = None) -> int:
        """Returns how many rows were erased. `how`: else as the policy says."""
        ...


class SourceRows:
    """The source's side, for a unit with a table of its own and for one in CDM mode."""

    def __init__(self, order: RunOrder, values: Sequence[str] | None) -> None:
        """`values`: the columns of which the rows are compared; None: only keys are."""
        self.spec = opened_spec(order)
        if not self.spec.key:
            raise ConfigError(
                f"unit '{self.spec.unit_id}' has no key, so its rows cannot be compared one by one",
                hint="set policy.primary_key to columns that no two rows share",
            )
        self.strategy = strategy_of(order)
        self.rows = staged_schema(order.spec)
        lookup = find_capability(self.strategy, RowLookup)
        more = () if lookup is None else lookup.lookup_columns(self.spec)
        names = list(dict.fromkeys([*self.spec.key, *more]))
        missing = [name for name in names if name not in self.rows.names]
        if missing:
            raise ConfigError(
                f"unit '{self.spec.unit_id}' leaves out column '{missing[0]}', by which its rows are found again",
                hint="add it to policy.columns",
            )
        self.keys = pa.schema([self.rows.field(name) for name in names])
        self.typed = self.keys
        """The same columns as the source has them; in CDM mode, `keys` begins with the key as text."""
        self.width = len(self.spec.key)
        self.values = list(values or [])
        self.lookup = lookup
        self.reads_whole_rows = False
        self.can_look_up = lookup is not None

    @property
    def read_columns(self) -> list[str]:
        return list(self.rows.names if self.reads_whole_rows else dict.fromkeys([*self.typed.names, *self.values]))

    def blocks(self, bounds: Sequence[Bounds] | None) -> Iterator[Slice]:
        if bounds is not None:
            for number, (lower, upper) in enumerate(bounds):
                yield key_block(self.spec, lower, upper, number)
        elif self._is_listed_by_key_scan():
            yield Slice(segment="all", scope_id=KEY_SCAN, rank=(0,), axis=Axis(kind="whole"), effect=Effect.LOAD)
        else:
            yield from full_blocks(self.strategy, narrowed(self.spec, self.strategy, self.read_columns))

    def _is_listed_by_key_scan(self) -> bool:
        """A key scan lists only keys; a SQL source reads single columns as cheaply, block by block."""
        is_cheap = self.strategy.descriptor.family == "JDBC" and self.lookup is not None
        only_keys = not self.values and len(self.typed) == len(self.spec.key)
        return only_keys and not is_cheap and find_capability(self.strategy, KeyScan) is not None

    def read_block(self, block: Slice) -> Iterator[pa.RecordBatch]:
        """Yields `read_columns`."""
        if block.scope_id == KEY_SCAN:
            scan = find_capability(self.strategy, KeyScan)
            assert scan is not None
            for batch in scan.scan_keys(self.spec):
                yield batch.select(self.typed.names).cast(self.typed)
            return
        narrow = narrowed(self.spec, self.strategy, self.read_columns)
        yield from self.strategy.read(narrow, block, self._context())

    def look_up(self, keys: pa.RecordBatch, known: Mapping[str, SegmentState] | None) -> Iterator[pa.RecordBatch]:
        if self.lookup is None:
            raise ModeUnsupported(
                f"sources of template '{self.strategy.descriptor.template}' cannot read rows again by their keys",
                hint="a source needs the capability RowLookup, see docs/write-a-source.md",
            )
        yield from self.lookup.look_up(self.spec, keys, self._context(), known)

    def _context(self) -> ReadContext:
        return ReadContext(
            schema=pa.schema([self.rows.field(name) for name in self.read_columns]),
            page_bytes=4 * 1024 * 1024,
            budget_bytes=NO_LIMIT,
            reject=_leave_out,
        )

    def proven_gone(self, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        scan = find_capability(self.strategy, KeyScan)
        return iter(keys) if scan is None else scan.proven_gone(self.spec, keys)

    def source_notes(self) -> Sequence[str]:
        notes = find_capability(self.strategy, Notes)
        return () if notes is None else notes.notes(self.spec)

    def key_span(self) -> tuple[int, int] | None:
        sums = find_capability(self.strategy, KeySums)
        return None if sums is None or self.values else sums.key_span(self.spec)

    def sums(self, keys: KeyRange) -> Mapping[int, KeySum]:
        sums = find_capability(self.strategy, KeySums)
        assert sums is not None
        return sums.sum_keys(self.spec, keys)


class TableRows(SourceRows):
    """A unit with a table of its own in the sink."""

    def __init__(self, order: RunOrder, *, with_values: bool) -> None:
        self._target = target_of(order)
        sink = open_sink_of(order)
        if not isinstance(sink, RowReader):
            raise ModeUnsupported(
                f"sinks of template '{order.sink.template}' cannot read rows back for a comparison",
                hint="a sink needs the capability RowReader, see docs/write-a-sink.md",
            )
        self._sink = sink
        self._erasing_sink = sink
        schema = staged_schema(order.spec)
        self._stored = sink.comparable_schema(self._target, schema) if with_values else pa.schema([])
        lookup = find_capability(strategy_of(order), RowLookup)
        versions = lookup.version_columns(order.spec) if lookup is not None and with_values else None
        wanted = schema.names if versions is None else versions
        values = [name for name in wanted if name in self._stored.names and name not in order.spec.key]
        super().__init__(order, values if with_values else None)
        self.compared: Compared = "keys" if not with_values else "rows" if versions is None else "versions"
        left_out = [name for name in wanted if name not in self._stored.names] if with_values else []
        self.not_compared = tuple(name for name in left_out if name not in order.spec.key)

    def source_rows(self, block: Slice) -> Iterator[pa.RecordBatch]:
        return (self._hashed(batch) for batch in self.read_block(block))

    def look_up(self, keys: pa.RecordBatch, known: Mapping[str, SegmentState] | None) -> Iterator[pa.RecordBatch]:
        """With `known`, without the rows that a run leaves out because the sink cannot hold a value of theirs."""
        self.reads_whole_rows = known is not None and isinstance(self._sink, MisfitFinder)
        try:
            for batch in super().look_up(keys, known):
                yield self._hashed(self._without_misfits(batch) if self.reads_whole_rows else batch)
        finally:
            self.reads_whole_rows = False

    def _without_misfits(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        assert isinstance(self._sink, MisfitFinder)
        unfit = self._sink.find_misfits(self.rows, batch, converts=True)
        return batch.take(pa.array([row for row in range(batch.num_rows) if row not in unfit], pa.int64()))

    def sink_rows(self, bounds: Sequence[Bounds] | None) -> Iterator[pa.RecordBatch]:
        width = len(self.keys)
        for one in [None] if bounds is None else bounds:
            for batch in self._sink.read_rows(self._target, self.rows, self.keys.names, self.values, one):
                values = pa.RecordBatch.from_arrays(batch.columns[width:], names=self.values)
                yield self._with_hash(batch.columns[:width], self._hash(values))

    def _hashed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [comparable(batch.column(name), self._stored.field(name)) for name in self.values]
        values = pa.RecordBatch.from_arrays(columns, names=self.values)
        keys = [batch.column(name) for name in self.keys.names]
        return self._with_hash(keys, self._hash(values) if self.values else pa.repeat(0, batch.num_rows))

    def _hash(self, values: pa.RecordBatch) -> pa.Array | None:
        return row_hashes(values) if self.values else None

    def _with_hash(self, keys: Sequence[pa.Array], hashes: pa.Array | None) -> pa.RecordBatch:
        numbers = pa.repeat(0, len(keys[0])) if hashes is None else hashes
        return pa.RecordBatch.from_arrays([*keys, numbers.cast(pa.uint64())], names=[*self.keys.names, HASH])

    def key_span(self) -> tuple[int, int] | None:
        is_whole = pa.types.is_signed_integer(self.keys.field(0).type)
        if not isinstance(self._sink, KeySumReader) or len(self.keys) != 1 or not is_whole:
            return None
        return super().key_span()

    def source_sums(self, keys: KeyRange) -> Mapping[int, KeySum]:
        return self.sums(keys)

    def sink_sums(self, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]:
        assert isinstance(self._sink, KeySumReader)
        return self._sink.sum_keys(self._target, self.rows, self.spec.key[0], keys)

    def erase(self, epoch: int, sequence: int, keys: Iterable[pa.RecordBatch], how: Deletes | None = None) -> int:
        how = how or self.spec.deletes
        found = self._erasing_sink.erase(self._target, self.rows, epoch, sequence, keys, how)
        return int(found.rows_committed)


def narrowed(spec: UnitSpec, source: RowSource, columns: Sequence[str]) -> UnitSpec:
    """The unit as a full refresh of `columns`; a source that is not SQL reads whole rows, and returns these columns of them."""
    update: dict[str, object] = {"cursor": None, "write": None, "lookback": 0, "cursor_zone": None}
    if source.descriptor.family == "JDBC":
        update["columns"] = tuple(columns)
    policy = spec.policy.model_copy(update=update)
    config = spec.config.model_copy(update={"policy": policy, "run_mode": RunMode.FULL})
    return spec.model_copy(update={"config": config})


def full_blocks(source: RowSource, spec: UnitSpec) -> Iterator[Slice]:
    """The slices of a full refresh, without a snapshot: they are read again by other processes, at other times."""
    with source.probe(spec, {}) as probe:
        for scope in source.scopes(spec, probe, {}):
            for number, piece in enumerate(source.cut(spec, probe, scope, scope.target)):
                yield Slice(
                    segment=scope.segment,
                    scope_id=scope.scope_id,
                    rank=(number,),
                    axis=scope.axis,
                    interval=piece.interval,
                    nulls=scope.nulls,
                    effect=scope.effect,
                    estimated_rows=piece.estimated_rows,
                    hints={**piece.hints, "is_exact": True},
                )


def key_block(spec: UnitSpec, lower: int | None, upper: int | None, number: int) -> Slice:
    """The rows whose key, one whole number, is in `[lower, upper)`."""
    interval = Interval(
        lower=None if lower is None else (lower,),
        upper=None if upper is None else (upper,),
    )
    return Slice(
        segment="all",
        scope_id="keys",
        rank=(number,),
        axis=Axis(kind="key", columns=spec.key),
        interval=interval,
        effect=Effect.LOAD,
        hints={"is_exact": True},
    )


def _leave_out(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
    """A row that goes to quarantine in a run is not expected in the sink."""
