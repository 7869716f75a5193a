"""Stages a slice in files of the sink's own table, which a commit then adopts: no page is written, read and encoded again."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pyarrow as pa

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.refused_rows import misfits_of, without_rows
from ingest_ray.engine.steps.renamed_sink import open_sink_of
from ingest_ray.engine.steps.unit_layout import target_of
from ingest_ray.process.failpoints import reached
from ingest_ray.quarantine.raw_rows import raw_row
from ingest_ray.quarantine.writer import QuarantineWriter
from ingest_ray.sdk.contracts import FileStager, LocalFileStager, Sink
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import ADOPTED, Handle, Prepared, Scope, Slice, Target
from ingest_ray.staging.pages import check_schema, joined, schema_fingerprint

KEPT_RUNS = 4  # whose readers share a process; they come one after another
LEAST_BYTES = (
    1024 * 1024
)  # smaller batches are joined: hash, conversion and provenance cost about the same for one row as for many


@dataclass(frozen=True)
class FileAdopter:
    """The files of one run's target, as its readers write them."""

    order: RunOrder
    sink: Sink
    stager: FileStager
    target: Target

    def adopts(self, piece: Slice) -> bool:
        return self.stager.adopts(self.target, piece)

    def may_adopt(self, scopes: Iterable[Scope]) -> bool:
        """False where no slice of these scopes will be adopted."""
        return not self.target.write.merges or any(scope.is_insert_only for scope in scopes)

    def adopts_all(self, scopes: Iterable[Scope]) -> bool:
        """True where, as far as the scopes say, nothing will be left to prepare."""
        return not self.target.write.merges or all(scope.is_insert_only for scope in scopes)

    def stage(
        self,
        piece: Slice,
        attempt: int,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        rejects: QuarantineWriter,
    ) -> tuple[Handle, Prepared]:
        """Misfits go to `rejects`, and are not in the files.

        Raises:
            RowsRejected: the sink refuses rows, and nothing was staged: pages are needed to find them.
        """
        rows = _FittingRows(self.sink, piece, schema, batches, rejects)
        reached("sink:before-prepare")
        try:
            prepared = self.stager.stage_files(self.target, piece, attempt, schema, rows)
        except Exception:
            if rows.failure is not None:  # of the source, whatever the sink made of it
                raise rows.failure from None
            raise
        reached("sink:after-prepare")
        handle = Handle(
            provider=ADOPTED,
            uri=self.sink.location(self.target),
            run_id=self.order.run_id,
            slice_id=piece.slice_id,
            attempt=attempt,
            rows=rows.hash.rows,
            bytes=rows.bytes,
            schema_fingerprint=schema_fingerprint(schema),
            row_hash=rows.hash.hexdigest(),
        )
        return handle, prepared


def adopter_of(order: RunOrder, sink: Sink | None = None) -> FileAdopter | None:
    """None where pages are needed: a mapper lies between, the settings name a staging, or the sink does not stage files."""
    if order.spec.is_cdm or order.settings.staging.provider != "auto":
        return None
    sink = sink or open_sink_of(order)
    if isinstance(sink, LocalFileStager) and "://" not in order.settings.staging_uri:
        sink.stage_in(f"{order.settings.staging_uri}/{quote(order.run_id, safe='')}")
    return FileAdopter(order, sink, sink, target_of(order)) if isinstance(sink, FileStager) else None


_adopters: dict[tuple[str, str], FileAdopter | None] = {}
_lock = threading.Lock()


def kept_adopter_of(order: RunOrder) -> FileAdopter | None:
    """As `adopter_of`, once for each run and process: a table's columns are read from its log when the first file is written."""
    key = order.run_id, order.settings.staging.provider
    with _lock:
        if key not in _adopters:
            while len(_adopters) >= KEPT_RUNS:
                del _adopters[next(iter(_adopters))]
            _adopters[key] = adopter_of(order)
        return _adopters[key]


@dataclass
class _FittingRows:
    """The rows of a slice on their way from the source into the sink's files: checked, counted and hashed once."""

    sink: Sink
    piece: Slice
    schema: pa.Schema
    batches: Iterable[pa.RecordBatch]
    rejects: QuarantineWriter
    hash: RowHash = field(default_factory=RowHash)
    bytes: int = 0
    failure: Exception | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in joined(self._checked(), LEAST_BYTES):
                yield self._fitting(batch)
        except Exception as error:
            self.failure = error
            raise

    def _checked(self) -> Iterator[pa.RecordBatch]:
        for batch in self.batches:
            check_schema(self.piece.slice_id, batch, self.schema)
            yield batch

    def _fitting(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        misfits = misfits_of(self.sink, self.schema, batch)
        for row, misfit in sorted(misfits.items()):
            self.rejects.reject(raw_row(batch, row), misfit.reason, misfit.column)
        fitting = without_rows(batch, misfits) if misfits else batch
        self.hash.update(fitting)
        self.bytes += fitting.nbytes
        return fitting
