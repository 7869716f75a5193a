"""The keys of a unit at the source and in the sink, in one form, and the erasing of rows by key."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import pyarrow as pa

from ingest_ray.cdm.models import SOURCE_KEY
from ingest_ray.engine.readers.quarantine import strategy_of
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.model_tables import tables_of
from ingest_ray.engine.steps.source_keys import keys_as_text, keys_from_text
from ingest_ray.engine.steps.unit_layout import opened_spec, resolved, staged_schema, target_of
from ingest_ray.registry import open_models, open_sink
from ingest_ray.sdk.contracts import KeyScan, capability


class KeySets(Protocol):
    """Both key sets of one unit."""

    schema: pa.Schema
    """The columns of a key."""

    def keys(self) -> Iterator[pa.RecordBatch]: ...

    def scan_keys(self) -> Iterator[pa.RecordBatch]: ...

    def proven_gone(self, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]: ...

    def erase(self, epoch: int, sequence: int, keys: Iterable[pa.RecordBatch]) -> int:
        """Returns how many rows were erased."""
        ...


def key_sets_of(order: RunOrder) -> KeySets:
    return ModelRows(order) if order.spec.is_cdm else UnitRows(order)


class UnitRows:
    """A unit with a table of its own: keys in the types of the source."""

    def __init__(self, order: RunOrder) -> None:
        self._spec = opened_spec(order)
        self._target = target_of(order)
        self._rows = staged_schema(order.spec)
        self._sink = open_sink(resolved(order.sink, order.settings))
        self._key_scan = capability(strategy_of(order), KeyScan)
        self.schema = pa.schema([self._rows.field(name) for name in self._target.key])

    def keys(self) -> Iterator[pa.RecordBatch]:
        return self._sink.keys(self._target, self._rows)

    def scan_keys(self) -> Iterator[pa.RecordBatch]:
        return self._key_scan.scan_keys(self._spec)

    def proven_gone(self, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return self._key_scan.proven_gone(self._spec, keys)

    def erase(self, epoch: int, sequence: int, keys: Iterable[pa.RecordBatch]) -> int:
        how = self._spec.policy.deletes
        return self._sink.erase(self._target, self._rows, epoch, sequence, keys, how).rows_committed


class ModelRows:
    """A unit in CDM mode: each row of its models has the key of its source row as text."""

    schema = pa.schema([(SOURCE_KEY, pa.string())])

    def __init__(self, order: RunOrder) -> None:
        self._spec = opened_spec(order)
        self._names = order.spec.key
        rows = staged_schema(order.spec)
        self._typed = pa.schema([rows.field(name) for name in self._names])
        self._tables = tables_of(order.spec, order.run_id)
        self._sink = open_models(resolved(order.sink, order.settings))
        self._key_scan = capability(strategy_of(order), KeyScan)

    def keys(self) -> Iterator[pa.RecordBatch]:
        return self._sink.keys(self._tables)

    def scan_keys(self) -> Iterator[pa.RecordBatch]:
        return keys_as_text(self._key_scan.scan_keys(self._spec), self._names)

    def proven_gone(self, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        gone = self._key_scan.proven_gone(self._spec, keys_from_text(keys, self._typed))
        return keys_as_text(gone, self._names)

    def erase(self, epoch: int, sequence: int, keys: Iterable[pa.RecordBatch]) -> int:
        how = self._spec.policy.deletes
        return sum(counts.erased for counts in self._sink.erase(self._tables, epoch, sequence, keys, how))
