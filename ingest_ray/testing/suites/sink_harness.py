"""The harness of the sinks' behaviour suite: the contract of its fixture, and a unit that it writes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import pyarrow as pa
import pytest

from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import SinkUnavailable
from ingest_ray.sdk.types import Axis, Effect, Prepared, Receipt, Slice, Target, WriteMode

SCHEMA = pa.schema([("id", pa.int64()), ("version", pa.int64()), ("text", pa.string())])
MODES = (WriteMode.APPEND, WriteMode.UPSERT, WriteMode.REPLACE)  # those of every sink
Row = tuple[int | None, int | None, str | None]


class SinkWorld(Protocol):
    """An empty target, and a reader of it that is independent of the sink.

    An attribute `refuses` names the samples with a value that the sink refuses, as the certificate's note states; `modes` has the write
    modes of a sink that has not all of them.
    """

    def open(self) -> Sink:
        """Opens a sink as another process would."""
        ...

    def read_all(self, target: Target) -> list[dict[str, Any]]:
        """Returns all rows that a reader sees now, with their provenance."""
        ...


@dataclass
class Load:
    """Writes one unit into a sink, as a run would."""

    world: SinkWorld
    write: WriteMode
    unit: str = "public.orders"
    key: tuple[str, ...] = ("id",)
    version: str | None = "version"
    schema: pa.Schema = SCHEMA
    epoch: int = 1
    sequence: int = 0
    run: str = "run-1"
    slices: int = 0
    sink: Sink = field(init=False)

    def __post_init__(self) -> None:
        if self.write not in getattr(self.world, "modes", WriteMode):
            pytest.skip(f"the sink does not write by {self.write}")
        self.sink = self.world.open()
        self.sink.open(self.target, self.schema, self.epoch)

    @property
    def target(self) -> Target:
        return Target(
            sink_id="sink",
            endpoint_id="shop",
            unit_id=self.unit,
            app_id=f"shop/{self.unit}/sink",
            write=self.write,
            key=self.key,
            version_column=self.version,
            run_id=self.run,
        )

    def reopen(self) -> None:
        """Opens the sink as the next run does: under a newer epoch."""
        self.epoch += 1
        self.sink.open(self.target, self.schema, self.epoch)

    def prepare(self, *batches: pa.RecordBatch, first: bool = False) -> Prepared:
        self.slices += 1
        return self.sink.prepare(self.target, piece(self.slices, first), self.schema, iter(batches))

    def commit(self, *group: Prepared) -> Receipt:
        self.sequence += 1
        receipt = self.sink.commit(self.target, self.schema, self.epoch, self.sequence, group)
        assert (receipt.epoch, receipt.sequence) == (self.epoch, self.sequence)
        assert receipt.rows_committed + receipt.rows_deduplicated == sum(one.rows for one in group)
        return receipt

    def put(self, *values: Row, first: bool = False) -> Receipt:
        return self.commit(self.prepare(rows(*values), first=first))

    def erase(self, found: Sequence[tuple[Any, ...]], how: Literal["tombstone", "delete"]) -> int:
        self.sequence += 1
        batches = [keys(*found[:1], names=self.key), keys(*found[1:], names=self.key)]
        return self.sink.erase(self.target, self.schema, self.epoch, self.sequence, batches, how).rows_committed

    def found(self) -> list[Row]:
        found = self.world.read_all(self.target)
        return sorted(((row["id"], row["version"], row["text"]) for row in found), key=repr)


def modes_of(world: SinkWorld) -> tuple[WriteMode, ...]:
    return getattr(world, "modes", MODES)


def keyed_mode(world: SinkWorld) -> WriteMode:
    """The mode in which writing a row again doubles nothing."""
    return WriteMode.UPSERT if WriteMode.UPSERT in modes_of(world) else WriteMode.REPLACE


def piece(number: int, is_insert_only: bool = False) -> Slice:
    return Slice(
        segment="all",
        scope_id="s",
        rank=(number,),
        axis=Axis(kind="whole"),
        effect=Effect.LOAD,
        is_insert_only=is_insert_only,
    )


def rows(*values: Row) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in values], schema=SCHEMA)


def keys(*values: tuple[Any, ...], names: Sequence[str] = ("id",)) -> pa.RecordBatch:
    schema = pa.schema([SCHEMA.field(name) for name in names])
    return pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True)) for row in values], schema=schema)


def insist(action: Callable[[], Receipt]) -> Receipt:
    """Repeats a commit that did not happen, as the engine does."""
    for _ in range(20):
        try:
            return action()
        except SinkUnavailable:
            time.sleep(0.02)
    raise AssertionError("the sink was not available twenty times")
