"""Reads the rows of listed keys from the source again: those that a comparison with the sink found missing or different.

The rows take the ordinary way: staged, numbered, committed once. No watermark moves. An upsert takes the source's row whatever
version the sink has. An append takes only rows that the sink does not have in the same version: it is looked at under the unit's lease,
so that no row is appended twice, also where an earlier repair died after its commit.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.renamed_sink import open_sink_of
from ingest_ray.engine.steps.unit_layout import staged_schema, target_of
from ingest_ray.files.folder import open_folder
from ingest_ray.sdk.contracts import Descriptor, Probe, ReadContext, RowLookup, RowReader, RowSource, capability
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.location import Location
from ingest_ray.sdk.row_hash import row_hashes
from ingest_ray.sdk.types import Axis, Effect, Interval, Piece, Scope, SegmentState, Slice, UnitSpec, WriteMode
from ingest_ray.secrets.locations import staging_location
from ingest_ray.sinks.canonical_json import comparable

AXIS = Axis(kind="key", columns=("file",))
FILE_ROWS = 20_000  # keys of one slice
KEPT_S = 3600.0
KEY_BYTES = 200  # an estimate of a row for the plan: repairs are small


class LostRows:
    """A source of rows whose axis is the number of the file of keys: each piece is one file."""

    def __init__(self, descriptor: Descriptor, order: RunOrder, source: RowSource) -> None:
        self.descriptor = descriptor
        self._order = order
        self._lookup = capability(source, RowLookup)

    @contextmanager
    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
        names = sorted(open_folder(self._location()).files())
        yield Probe(
            strategy="repair", facts={"files": len(names)}, bytes=len(names) * FILE_ROWS * KEY_BYTES, live=names
        )

    def _location(self) -> Location:
        if self._order.keys_uri is None:
            raise ConfigError(f"the repair of unit '{self._order.ref}' names no keys")
        return staging_location(self._order.settings).at(self._order.keys_uri)

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        if not probe.live:
            return []
        target = Interval(lower=(0,), upper=(len(probe.live),))
        return [Scope(scope_id="repair", segment="lost rows", axis=AXIS, target=target, effect=Effect.AHEAD)]

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        for number, name in enumerate(probe.live):
            yield Piece(interval=Interval(lower=(number,), upper=(number + 1,)), hints={"file": name})

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        for keys in read_key_file(self._location(), str(piece.hints["file"])):
            wanted = _tuples(keys, spec.key)
            appended = self._appended(keys, context.schema) if spec.write_mode is WriteMode.APPEND else None
            for batch in self._lookup.look_up(spec, keys, context, None):
                rows = _filtered(batch, [key in wanted for key in _tuples_in_order(batch, spec.key)])
                yield rows if appended is None else appended.without_stored(rows)

    def _appended(self, keys: pa.RecordBatch, schema: pa.Schema) -> "StoredRows":
        return StoredRows(self._order, keys, schema)


class StoredRows:
    """The versions of some rows that an append table has."""

    def __init__(self, order: RunOrder, keys: pa.RecordBatch, schema: pa.Schema) -> None:
        self._key = order.spec.key
        target, rows = target_of(order), staged_schema(order.spec)
        sink = open_sink_of(order)
        if not isinstance(sink, RowReader):
            raise ConfigError(f"sinks of template '{order.sink.template}' cannot read rows back")
        self._stored = sink.comparable_schema(target, rows)
        self._values = [name for name in schema.names if name in self._stored.names and name not in self._key]
        first = keys.column(self._key[0])
        self._found: set[tuple[Any, ...]] = set()
        for batch in sink.read_rows(target, rows, list(self._key), self._values):
            part = batch.filter(pc.is_in(batch.column(0), value_set=first))
            values = pa.RecordBatch.from_arrays(part.columns[len(self._key) :], names=self._values)
            self._found.update(zip(_tuples_in_order(part, self._key), row_hashes(values).to_pylist(), strict=True))

    def without_stored(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        columns = [comparable(rows.column(name), self._stored.field(name)) for name in self._values]
        hashes = row_hashes(pa.RecordBatch.from_arrays(columns, names=self._values)).to_pylist()
        keys = _tuples_in_order(rows, self._key)
        return _filtered(rows, [one not in self._found for one in zip(keys, hashes, strict=True)])


def write_key_files(location: Location, batches: Iterable[pa.RecordBatch]) -> int:
    """Writes keys in files of about `FILE_ROWS`; returns their number. Does nothing where there is no key."""
    folder, pending, rows, files = open_folder(location), list[pa.RecordBatch](), 0, 0
    total = 0

    def write() -> None:
        folder.make("")
        with folder.create(f"{files:06}.arrow") as out, pa.ipc.new_file(out, pending[0].schema) as writer:
            for one in pending:
                writer.write_batch(one)

    for batch in batches:
        pending.append(batch)
        rows += batch.num_rows
        total += batch.num_rows
        if rows >= FILE_ROWS:
            write()
            pending, rows, files = [], 0, files + 1
    if pending:
        write()
    return total


def keys_location(staging: Location, run_id: str = "") -> Location:
    """The folder of a repair's keys, beside staging; or the folder of all of them."""
    return staging.beside(".repairs", run_id)


def list_key_folders(staging: Location) -> list[str]:
    """The repairs that have files of keys: their run ids."""
    return open_folder(keys_location(staging)).folders()


def sweep_key_files(staging: Location, runs: Iterable[str], live_runs: Container[str], now: float) -> None:
    """Deletes the files of repairs that are not live. A repair writes them shortly before it takes its lease: newer ones stay."""
    root = open_folder(keys_location(staging))
    for run_id in runs:
        if run_id not in live_runs and now - root.changed_at(run_id) > KEPT_S:
            root.delete(run_id)


def read_key_file(location: Location, name: str) -> Iterator[pa.RecordBatch]:
    found = pa.ipc.open_file(open_folder(location).get(name)).read_all()
    yield from found.combine_chunks().to_batches()


def _tuples_in_order(batch: pa.RecordBatch, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(batch.column(name).to_pylist() for name in names), strict=True))


def _tuples(batch: pa.RecordBatch, names: Sequence[str]) -> set[tuple[Any, ...]]:
    return set(_tuples_in_order(batch, names))


def _filtered(batch: pa.RecordBatch, is_kept: Sequence[bool]) -> pa.RecordBatch:
    return batch if all(is_kept) else batch.filter(pa.array(is_kept, pa.bool_()))
