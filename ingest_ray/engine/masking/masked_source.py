"""Wraps a source so that only masked values leave it: rows, rejected rows, and the texts of errors."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from ingest_ray.engine.masking.masked_dataset import REDACTED, masked_dataset, read_schema
from ingest_ray.engine.masking.masked_values import Masker
from ingest_ray.quarantine.raw_rows import raw_row
from ingest_ray.sdk.changes import CHANGE_FIELDS
from ingest_ray.sdk.contracts import (
    Backfill,
    KeyScan,
    KeySums,
    Notes,
    Probe,
    QuickCheck,
    ReadContext,
    RowLookup,
    RowSource,
    capability,
    find_capability,
)
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import Interval, Piece, Scope, SegmentState, Slice, UnitSpec

NO_YEAR = "a value of a masked column has no year"
WITHHELD = "a value of a masked column cannot be represented; its text is withheld"
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_DETAIL = re.compile(r"(?:DETAIL|CONTEXT|Failing row contains|Key \()[^\n]*")


class MaskedSource:
    """The source of a unit with masks. Keys, cursors and what is planned with them have no masks."""

    def __init__(self, source: RowSource, spec: UnitSpec, read_key: Callable[[], bytes]) -> None:
        self.descriptor = source.descriptor
        self._source = source
        self._masks = spec.policy.masks
        self._masker = Masker(self._masks, read_key)
        facts = [str(value) for value in spec.dataset.facts.values() if isinstance(value, str)]
        columns = [column.name for column in spec.dataset.columns]
        self._names = {*columns, *facts, spec.dataset.name, spec.unit_id, spec.endpoint.endpoint_id, str(spec.ref)}
        self._columns = frozenset(columns)

    def has_capability(self, kind: type) -> bool:
        return find_capability(self._source, kind) is not None

    def is_unchanged(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> bool:
        with self._withheld():
            return capability(self._source, QuickCheck).is_unchanged(spec, known)

    @contextmanager
    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
        with self._withheld(), self._source.probe(spec, known) as probe:
            yield probe

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        with self._withheld():
            return self._source.scopes(spec, probe, known)

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        with self._withheld():
            yield from self._source.cut(spec, probe, scope, gap)

    def between(
        self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState], lower: str | None, upper: str | None
    ) -> Sequence[Scope]:
        with self._withheld():
            return capability(self._source, Backfill).between(spec, probe, known, lower, upper)

    def scan_keys(self, spec: UnitSpec) -> Iterator[pa.RecordBatch]:
        with self._withheld():
            yield from capability(self._source, KeyScan).scan_keys(spec)

    def proven_gone(self, spec: UnitSpec, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with self._withheld():
            yield from capability(self._source, KeyScan).proven_gone(spec, keys)

    def lookup_columns(self, spec: UnitSpec) -> Sequence[str]:
        return capability(self._source, RowLookup).lookup_columns(spec)

    def version_columns(self, spec: UnitSpec) -> Sequence[str] | None:
        return capability(self._source, RowLookup).version_columns(spec)

    def notes(self, spec: UnitSpec) -> Sequence[str]:
        return capability(self._source, Notes).notes(spec)

    def key_span(self, spec: UnitSpec) -> tuple[int, int] | None:
        with self._withheld():
            return capability(self._source, KeySums).key_span(spec)

    def sum_keys(self, spec: UnitSpec, keys: KeyRange) -> Mapping[int, KeySum]:
        with self._withheld():
            return capability(self._source, KeySums).sum_keys(spec, keys)

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        plain = self._plain_context(spec, context)
        with self._withheld():
            for batch in self._source.read(spec, piece, plain):
                yield self._masked(batch, plain, context)

    def look_up(
        self, spec: UnitSpec, keys: pa.RecordBatch, context: ReadContext, known: Mapping[str, SegmentState] | None
    ) -> Iterator[pa.RecordBatch]:
        plain = self._plain_context(spec, context)
        with self._withheld():
            for batch in capability(self._source, RowLookup).look_up(spec, keys, plain, known):
                yield self._masked(batch, plain, context)

    def _plain_context(self, spec: UnitSpec, context: ReadContext) -> ReadContext:
        """The context with the source's types, whose rejected rows are masked."""
        schema = read_schema(spec)
        fields = pa.schema([field if field in CHANGE_FIELDS else schema.field(field.name) for field in context.schema])
        return replace(context, schema=fields, reject=self._rejecting(context.reject))

    def _rejecting(self, reject: Callable[..., None]) -> Callable[..., None]:
        def reject_masked(raw: Mapping[str, JsonValue], reason: str, column: str | None) -> None:
            if column is None or column in self._masks or column not in self._columns:
                reason = WITHHELD
            reject({name: self._masked_raw(name, value) for name, value in raw.items()}, reason, column)

        return reject_masked

    def _masked_raw(self, name: str, value: Any) -> Any:
        """What is no column, such as a part of a source's own document, may contain masked values."""
        if name in self._masks:
            return self._masker.mask_raw(name, value)
        return value if name in self._columns or value is None else REDACTED

    def _masked(self, batch: pa.RecordBatch, plain: ReadContext, context: ReadContext) -> pa.RecordBatch:
        columns, misfits = [], pa.array([False] * batch.num_rows) if "year" in self._masks.values() else None
        for column, field, target in zip(batch.columns, plain.schema, context.schema, strict=True):
            if field.name not in self._masks:
                columns.append(column)
                continue
            masked, without = self._masker.mask_column(column, field, target)
            columns.append(masked)
            if without is not None:
                self._reject_rows(batch, without, field.name, plain, misfits)
                misfits = pc.or_(misfits, without)
        shaped = pa.RecordBatch.from_arrays(columns, schema=context.schema)
        return shaped if misfits is None or not misfits.true_count else shaped.filter(pc.invert(misfits))

    def _reject_rows(self, batch: pa.RecordBatch, rows: pa.Array, name: str, plain: ReadContext, done: Any) -> None:
        for row in pc.indices_nonzero(pc.and_not(rows, done)).to_pylist():
            plain.reject(raw_row(batch, row), NO_YEAR, name)

    @contextmanager
    def _withheld(self) -> Iterator[None]:
        """Errors of drivers quote values: those that are no names of the unit are withheld."""
        try:
            yield
        except IngestError as error:
            error.message = self._without_values(error.message)
            error.args = (error.message,)
            error.hint = None if error.hint is None else self._without_values(error.hint)
            error.__cause__ = None
            error.__suppress_context__ = True
            raise
        except Exception as error:
            raise RuntimeError(f"{type(error).__name__}: {self._without_values(str(error))}") from None

    def _without_values(self, text: str) -> str:
        text = _DETAIL.sub(REDACTED, text)
        return _QUOTED.sub(lambda found: found[0] if found[0][1:-1] in self._names else f"'{REDACTED}'", text)


def masked_source(source: RowSource, spec: UnitSpec, read_key: Callable[[], bytes]) -> RowSource:
    """The source itself where the unit masks nothing. `read_key` is called once a mask needs it."""
    return MaskedSource(source, spec, read_key) if spec.policy.masks else source


def masked_table(table: pa.Table, spec: UnitSpec, read_key: Callable[[], bytes]) -> pa.Table:
    """Some rows of the unit's dataset, in its columns, with its masks; a value that has no mask is left out with its row."""
    masks = {name: mask for name, mask in spec.policy.masks.items() if name in table.column_names}
    if not masks:
        return table
    plain, masked = schema_of(spec.dataset), schema_of(masked_dataset(spec))
    masker = Masker(masks, read_key)
    for name in masks:
        column = table.column(name).combine_chunks()
        values, without = masker.mask_column(column, plain.field(name), masked.field(name))
        at = table.column_names.index(name)
        table = table.set_column(at, masked.field(name), values)
        if without is not None:
            table = table.filter(pc.invert(without))
    return table
