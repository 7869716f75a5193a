"""Delta Lake: a table per unit, its files written in parallel, each commit one transaction of the table's log.

Prepared rows are Parquet files in the table's directory that the log does not name yet. Appends, full refreshes and
first loads put them into the log as they are; an upsert merges them, or writes them as one file where all of their keys are new, and then
deletes them. What a dead process leaves is removed by `vacuum`.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import Literal

import pyarrow as pa
from deltalake import DeltaTable, Schema
from pydantic import JsonValue

from ingest_ray.sdk.contracts import ModelSink
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import ColumnFit, Prepared, Receipt, Slice, Target, WriteMode
from ingest_ray.sinks.columns import refuse_unordered
from ingest_ray.sinks.delta.erase import erase, keys_of
from ingest_ray.sinks.delta.errors import translated
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.fresh_keys import as_one_file, is_fresh
from ingest_ray.sinks.delta.log import (
    Counts,
    add_actions,
    commit_once,
    counts_of,
    load,
    marks,
    refuse_older,
    sequence_of,
)
from ingest_ray.sinks.delta.maintenance import compact, vacuum
from ingest_ray.sinks.delta.merge import losers, merge
from ingest_ray.sinks.delta.table_schema import create, evolve, file_schema, replaced_schema
from ingest_ray.sinks.delta.types import DELTA
from ingest_ray.sinks.maintenance import KEEP_H, CareReport
from ingest_ray.sinks.parquet import FileRoll, WrittenFile
from ingest_ray.sinks.provenance import NAMES, Stamp
from ingest_ray.sinks.templates import DeltaConfig
from ingest_ray.sinks.type_mapping import fit_schema
from ingest_ray.sinks.value_conversion import convert_batch

PAYLOAD_BYTES = 48 * 1024  # a handle stays under 64 KiB: beyond this, files lose the bounds of their columns


def open_models(config: DeltaConfig) -> ModelSink:
    models: ModelSink = import_module("ingest_ray.sinks.delta.model_sink").open_models(config)
    return models


def open_sink(config: DeltaConfig) -> "DeltaSink":
    return DeltaSink(config)


class DeltaSink:
    payload_bytes = PAYLOAD_BYTES

    def __init__(self, config: DeltaConfig) -> None:
        self._root = config.uri
        self._options = {name: value.get_secret_value() for name, value in config.storage_options.items()}
        self._shape: tuple[object, pa.Schema] | None = None

    def location(self, target: Target) -> str:
        return self._files(target).uri

    def fit(self, schema: pa.Schema) -> Sequence[ColumnFit]:
        return fit_schema(schema, DELTA)

    def open(self, target: Target, schema: pa.Schema, epoch: int) -> int:
        files = self._files(target)
        refuse_unordered(target, schema, DELTA)
        with translated(files.uri):
            table = load(files) or create(files, target, schema, epoch)
            if refuse_older(table, target, epoch) < epoch:
                table.create_write_transaction([], "append", table.schema(), commit_properties=marks(target, epoch))
                table = load(files) or table  # the snapshot in hand does not know of it
            evolve(table, files, target, schema, epoch)
        return sequence_of(table, target)

    def is_empty(self, target: Target) -> bool:
        files = self._files(target)
        table = load(files)
        if table is None:
            return True
        with translated(files.uri):
            return int(table.count()) == 0

    def prepare(self, target: Target, piece: Slice, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Prepared:
        started = time.monotonic()
        files = self._files(target)
        rows = RowHash()
        wanted = self._shape_of(files, target, schema)
        with translated(files.uri):
            converted = pa.schema([field for field in wanted if field.name not in NAMES])
            stamp = Stamp(target.run_id, piece.slice_id)
            roll = FileRoll(wanted, files.create)
            try:
                for batch in batches:
                    rows.update(batch)
                    roll.write(stamp.put(convert_batch(batch, converted)))
                written = roll.close()
                files.make_durable([file.name for file in written])
            except BaseException:
                roll.abandon()
                for name in roll.names:
                    files.delete(name)
                raise
        return Prepared(
            slice_id=piece.slice_id,
            rows=rows.rows,
            bytes=sum(file.bytes for file in written),
            row_hash=rows.hexdigest(),
            is_insert_only=piece.is_insert_only,
            payload={"uri": files.uri, "files": _described(written, self.payload_bytes)},
            seconds=time.monotonic() - started,
        )

    def _shape_of(self, files: TableFiles, target: Target, schema: pa.Schema) -> pa.Schema:
        """Looked up once per run: reading the log again for each slice would cost more than writing it. Only a run's opening
        changes the columns; what somebody changes by hand meanwhile is refused by the commit."""
        known, key = self._shape, (files.uri, target.run_id, target.write, schema)
        if known is not None and known[0] == key:
            return known[1]
        table = load(files)
        if table is None:
            raise SinkRejected(f"table '{files.uri}' is gone", hint="reset the unit to load it again")
        with translated(files.uri):
            found = file_schema(table, target, schema)
        self._shape = (key, found)
        return found

    def commit(
        self, target: Target, schema: pa.Schema, epoch: int, sequence: int, group: Sequence[Prepared]
    ) -> Receipt:
        started = time.monotonic()
        files = self._files(target)
        is_merge = target.write is WriteMode.UPSERT and not all(one.is_insert_only or one.rows == 0 for one in group)
        described = [file for one in group for file in _files_of(one)]
        rows = sum(one.rows for one in group)

        def merged(table: DeltaTable) -> Counts:
            shape = file_schema(table, target, schema)
            names = [str(file["name"]) for file in described]
            dropped = losers(files, names, shape, target)
            if not len(dropped) and is_fresh(table, files, names, shape, target):
                joined = as_one_file(files, names, sum(one.bytes for one in group), shape)
                return added(table, described if joined is None else [asdict(file) for file in joined])
            facts: dict[str, JsonValue] = {"ingestRowsPrepared": rows, "ingestRowsDropped": len(dropped)}
            properties = marks(target, epoch, sequence, **facts)
            return counts_of(rows, len(dropped), merge(table, files, names, shape, target, dropped, properties))

        def added(table: DeltaTable, new: Sequence[Mapping[str, JsonValue]] = described) -> Counts:
            is_replace = target.write is WriteMode.REPLACE
            if not is_replace:
                file_schema(table, target, schema)  # refuses columns that were changed by hand meanwhile
            shape = replaced_schema(table, schema) if is_replace else table.schema()
            facts: dict[str, JsonValue] = {"ingestRowsPrepared": rows, "ingestRowsDropped": 0}
            table.create_write_transaction(
                add_actions(new),
                "overwrite" if is_replace else "append",
                Schema.from_arrow(shape) if is_replace else shape,
                commit_properties=marks(target, epoch, sequence, **facts),
            )
            return Counts(rows)

        counts = commit_once(files, target, epoch, sequence, merged if is_merge else added)
        if is_merge:
            self.abort(group)  # the rows are in the table's own files now; a file that is one of them stays
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=counts.committed,
            rows_deduplicated=counts.deduplicated,
            location=files.uri,
            seconds=time.monotonic() - started,
        )

    def abort(self, group: Sequence[Prepared]) -> None:
        """Deletes what was prepared and is not in a table."""
        by_table: dict[str, list[str]] = {}
        for one in group:
            by_table.setdefault(str(one.payload["uri"]), []).extend(str(file["name"]) for file in _files_of(one))
        for uri, names in by_table.items():
            files = TableFiles(uri, self._options)
            table = load(files)
            with translated(uri):
                kept = {path.rsplit("/", 1)[-1] for path in table.file_uris()} if table and names else set()
                for name in names:
                    if name not in kept:
                        files.delete(name)

    def keys(self, target: Target, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        files = self._files(target)
        table = load(files)
        if table is None:
            return
        with translated(files.uri):
            yield from keys_of(table, target, schema)

    def erase(
        self,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        keys: Iterable[pa.RecordBatch],
        how: Literal["tombstone", "delete"],
    ) -> Receipt:
        started = time.monotonic()
        files = self._files(target)

        def erased(table: DeltaTable) -> Counts:
            facts: dict[str, JsonValue] = {"ingestErases": True}
            stored = file_schema(table, target, schema)
            return Counts(erase(table, target, stored, keys, how, marks(target, epoch, sequence, **facts)))

        counts = commit_once(files, target, epoch, sequence, erased)
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=counts.committed,
            location=files.uri,
            seconds=time.monotonic() - started,
        )

    def compact(self, target: Target) -> CareReport:
        return compact(self._files(target))

    def vacuum(self, target: Target, *, keep_h: int = KEEP_H, rehearse: bool = False) -> CareReport:
        return vacuum(self._files(target), keep_h, rehearse)

    def _files(self, target: Target) -> TableFiles:
        return TableFiles.of(self._root, target.endpoint_id, target.unit_id, self._options)


def _described(written: Sequence[WrittenFile], most_bytes: int) -> list[JsonValue]:
    described: list[JsonValue] = [asdict(file) for file in written]
    if sum(len(file.stats) for file in written) > most_bytes:
        described = [{**asdict(file), "stats": f'{{"numRecords": {file.rows}}}'} for file in written]
    return described


def _files_of(prepared: Prepared) -> list[dict[str, JsonValue]]:
    files = prepared.payload.get("files")
    return [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
