"""CDM mode: the source rows of which a sink refuses a row of a model, found by their keys, and put into quarantine."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.cdm.models import KEY, SOURCE_KEY
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.fitting_rows import open_sink_quarantine
from ingest_ray.engine.steps.refused_rows import RefusedRowSearch
from ingest_ray.engine.steps.source_keys import source_keys
from ingest_ray.quarantine.raw_rows import raw_row
from ingest_ray.quarantine.writer import QuarantineWriter
from ingest_ray.sdk.contracts import Misfit, ModelSink, ModelTable, Staging
from ingest_ray.sdk.errors import RowsRejected
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import Handle, Mapped, Slice


def without_sources(
    batches: Iterable[pa.RecordBatch], refused: frozenset[str], left_out: RowHash
) -> Iterator[pa.RecordBatch]:
    """Leaves out the rows of models that were made of source rows with these keys, and adds them to a hash."""
    for batch in batches:
        if refused:
            is_refused = pc.is_in(batch.column(SOURCE_KEY), pa.array(sorted(refused), pa.string()))
            left_out.update(batch.filter(is_refused))
            batch = batch.filter(pc.invert(is_refused))
        yield batch


@dataclass
class RefusedSources:
    order: RunOrder
    sink: ModelSink
    piece: Slice
    staging: Staging

    def find(self, tables: Sequence[ModelTable], mapped: Mapped, error: RowsRejected) -> dict[str, Misfit]:
        """By key of the source row.

        Raises:
            RowsRejected: a refused row has no source key, as in units without a key: the message names it by its id.
        """
        refused: dict[str, Misfit] = {}
        for table, made in zip(tables, mapped.models, strict=True):
            refused |= self._find_in(table, made.handle, error)
        if not refused:
            raise error
        return refused

    def _find_in(self, table: ModelTable, handle: Handle, error: RowsRejected) -> dict[str, Misfit]:
        search = RefusedRowSearch(
            self.sink,
            table.schema,
            lambda batch: self.sink.prepare(table, self.piece, [batch]),
            lambda prepared: self.sink.abort([[prepared]]),
            self.order.spec.policy.max_quarantined_rows,
        )
        try:
            found = search.find(self.staging.read(handle), error)
        except RowsRejected:  # no row of this model is refused
            return {}
        refused: dict[str, Misfit] = {}
        first = 0
        for batch in self.staging.read(handle):
            for row in (row for row in found if first <= row < first + batch.num_rows):
                key, misfit = batch.column(SOURCE_KEY)[row - first].as_py(), found[row]
                if key is None:
                    name = f"row '{batch.column(KEY)[row - first].as_py()}' of model '{table.target.model}'"
                    raise RowsRejected(f"{name}: {misfit.reason}", hint=error.hint)
                refused[key] = misfit
            first += batch.num_rows
        return refused

    def quarantine(self, handle: Handle, refused: Mapping[str, Misfit]) -> QuarantineWriter:
        """Rejects the source rows with these keys; the file is still open."""
        rejects = open_sink_quarantine(self.order, self.piece)
        for page in self.staging.read(handle):
            for row, key in enumerate(source_keys(page, self.order.spec.key)):
                if key is not None and key in refused:
                    rejects.reject(raw_row(page, row), refused[key].reason, refused[key].column)
        return rejects
