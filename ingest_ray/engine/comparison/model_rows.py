"""Both sides of a unit in CDM mode: source rows, and the source keys that the rows of its models have.

A source row of which the mapper makes no row is in no model, so it is not missing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from ingest_ray.cdm import MapContext
from ingest_ray.cdm.models import SOURCE_KEY
from ingest_ray.engine.comparison.spool import HASH
from ingest_ray.engine.comparison.unit_rows import Bounds, Compared, Deletes, SourceRows
from ingest_ray.engine.masking.masked_dataset import masked_dataset
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.mapper import mapper_of
from ingest_ray.engine.steps.model_tables import tables_of
from ingest_ray.engine.steps.source_keys import keys_as_text, keys_from_text, source_keys
from ingest_ray.engine.steps.unit_layout import opened_sink, system_of
from ingest_ray.registry import open_models
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.sdk.key_sums import KeyRange, KeySum
from ingest_ray.sdk.types import SegmentState, Slice
from ingest_ray.secrets import masked


class ModelRows(SourceRows):
    def __init__(self, order: RunOrder, *, with_values: bool) -> None:
        if with_values:
            raise ModeUnsupported(
                f"unit '{order.ref}' is in CDM mode: its rows in the sink are not those of the source",
                hint="compare its keys, without --rows; `ingest-ray remap` maps kept rows again",
            )
        super().__init__(order, None)
        self._order = order
        self._key_names = list(self.spec.key)
        self.keys = pa.schema([(SOURCE_KEY, pa.string()), *(field.with_nullable(True) for field in self.typed)])
        self.width = 1
        self.compared: Compared = "keys"
        self.not_compared: tuple[str, ...] = ()
        self._tables = tables_of(order.spec, order.run_id)
        self._sink = open_models(opened_sink(order))

    def source_rows(self, block: Slice) -> Iterator[pa.RecordBatch]:
        return (self._keyed(batch) for batch in self.read_block(block))

    def sink_rows(self, bounds: Sequence[Bounds] | None) -> Iterator[pa.RecordBatch]:
        for batch in self._sink.keys(self._tables):
            nulls = [pa.nulls(batch.num_rows, field.type) for field in self.typed]
            zeros = pa.repeat(0, batch.num_rows).cast(pa.uint64())
            yield pa.RecordBatch.from_arrays([batch.column(0), *nulls, zeros], names=[*self.keys.names, HASH])

    def look_up(self, keys: pa.RecordBatch, known: Mapping[str, SegmentState] | None) -> Iterator[pa.RecordBatch]:
        typed = pa.RecordBatch.from_arrays(keys.columns[1:], schema=self.typed)
        if known is None:  # keys of the sink
            if len(self.typed) > len(self._key_names):
                return
            typed = pa.Table.from_batches(keys_from_text([keys.select([SOURCE_KEY])], self.typed), self.typed)
            typed = typed.combine_chunks().to_batches()[0] if typed.num_rows else None
            if typed is None:
                return
        self.reads_whole_rows = known is not None  # for the mapper
        try:
            for batch in super().look_up(typed, known):
                yield self._keyed(batch if known is None else self._with_models(batch))
        finally:
            self.reads_whole_rows = False

    def _with_models(self, page: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of which the mapper makes rows that have a source key."""
        mapper, spec = mapper_of(self._order.spec), self._order.spec
        context = MapContext(
            masked(spec.endpoint), masked_dataset(spec), system_of(spec), lambda row, reason, column: None
        )
        made = mapper.map(page, context)
        origins = {origin for name in mapper.models if name not in mapper.keeps for origin in made[name].origins}
        return page.take(pa.array(sorted(origins), pa.int64()))

    def _keyed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = pa.array(source_keys(batch, self._key_names), pa.string())
        typed = [batch.column(name) for name in self.typed.names]
        zeros = pa.repeat(0, batch.num_rows).cast(pa.uint64())
        return pa.RecordBatch.from_arrays([texts, *typed, zeros], names=[*self.keys.names, HASH])

    def proven_gone(self, keys: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        fields = pa.schema([self.rows.field(name) for name in self._key_names])
        return keys_as_text(super().proven_gone(keys_from_text(keys, fields)), self._key_names)

    def key_span(self) -> tuple[int, int] | None:
        """None: keys of models are texts, so no sums of ranges are asked for."""
        return None

    def source_sums(self, keys: KeyRange) -> Mapping[int, KeySum]:
        raise NotImplementedError

    def sink_sums(self, keys: KeyRange) -> tuple[Mapping[int, KeySum], int]:
        raise NotImplementedError

    def erase(self, epoch: int, sequence: int, keys: Iterable[pa.RecordBatch], how: Deletes | None = None) -> int:
        how = how or self.spec.deletes
        return sum(counts.erased for counts in self._sink.erase(self._tables, epoch, sequence, keys, how))
