"""Maps what is staged of one slice to CDM models, page by page, into pages of each model. Any process may do it, twice."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ingest_ray.cdm import CdmMapper, MapContext, mapper_for, model_of
from ingest_ray.cdm.expressions import ExpressionMapper
from ingest_ray.cdm.models import ENDPOINT, KEY, MAPPER, SOURCE_KEY, UNIT, VERSION
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.reader import rejects_of
from ingest_ray.engine.steps.source_keys import source_keys, source_versions
from ingest_ray.engine.steps.unit_layout import system_of
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import StageWriter, Staging
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import Handle, Mapped, MappedModel, RunMode, Slice, UnitSpec
from ingest_ray.secrets import masked


def mapper_of(spec: UnitSpec) -> CdmMapper:
    """What ingest.yaml says, else what the source's package brings."""
    if spec.config.cdm.models:
        return ExpressionMapper(spec.config.cdm, system_of(spec))
    return mapper_for(spec.endpoint.template, spec.unit_id)


def map_slice(order: RunOrder, piece: Slice, attempt: int, handle: Handle, staging: Staging) -> Mapped:
    """Raises `StagingLost`: read the slice again; nothing was staged."""
    started = time.monotonic()
    spec = order.spec
    mapper = mapper_of(spec)
    rejects = rejects_of(order, piece.model_copy(update={"scope_id": f"{piece.scope_id}.map"}), attempt)
    origin, endpoint = Origin(spec, mapper), masked(spec.endpoint)
    seen = RowHash()
    with ExitStack() as undo:
        undo.callback(rejects.abort)
        desks = {name: _Desk.open(staging, order, piece, attempt, name) for name in mapper.models}
        for unit_writer in desks.values():
            undo.callback(unit_writer.writer.abort)
        for page in staging.read(handle):
            seen.update(page)
            refused: dict[int, tuple[str, str | None]] = {}
            context = MapContext(endpoint, spec.dataset, system_of(spec), _noting(refused))
            made = mapper.map(page, context)
            for place, (reason, column) in sorted(refused.items()):
                rejects.reject(page.slice(place, 1).to_pylist()[0], reason, column)
            for name, unit_writer in desks.items():
                keeps = name in mapper.keeps
                unit_writer.write(origin.stamped(name, page, made[name], refused, keeps=keeps))
        reached("map:after-map")
        uri = rejects.close()
        models = tuple(
            MappedModel(model_id=name, handle=unit_writer.writer.close(), rows=unit_writer.rows)
            for name, unit_writer in desks.items()
        )
        undo.pop_all()
    reached("map:after-stage")
    return Mapped(
        models=models,
        rows=seen.rows - rejects.rows,
        row_hash=seen.hexdigest(),
        rows_quarantined=rejects.rows,
        quarantine_uri=uri,
        seconds=time.monotonic() - started,
    )


def _noting(refused: dict[int, tuple[str, str | None]]) -> Any:
    def reject(row: int, reason: str, column: str | None) -> None:
        refused.setdefault(row, (reason, column))

    return reject


@dataclass
class _Desk:
    writer: StageWriter
    rows: int = 0

    @classmethod
    def open(cls, staging: Staging, order: RunOrder, piece: Slice, attempt: int, name: str) -> "_Desk":
        stored = model_of(name).stored
        return cls(staging.open(order.run_id, f"{piece.slice_id}@{name}", attempt, stored))

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows - batch.column(KEY).null_count
        if batch.num_rows:
            self.writer.write(batch)


@dataclass
class Origin:
    """Stamps rows of a model with the source row that they were made from."""

    spec: UnitSpec
    mapper: CdmMapper
    _keys: tuple[str, ...] = field(init=False)
    _cursor: str | None = field(init=False)

    def __post_init__(self) -> None:
        self._keys = self.spec.key
        is_incremental = self.spec.config.run_mode is RunMode.INCREMENTAL
        self._cursor = self.spec.policy.cursor if is_incremental else None

    def stamped(
        self, name: str, page: pa.RecordBatch, made: Any, refused: dict[int, Any], *, keeps: bool
    ) -> pa.RecordBatch:
        """The rows, then a marker for each source row that made none; rows that are kept for good know no source row."""
        model = model_of(name)
        keys = [None] * page.num_rows if keeps else source_keys(page, self._keys)
        versions = source_versions(page, self._cursor)
        used = set(made.origins)
        silent = [n for n, key in enumerate(keys) if n not in used and n not in refused and key is not None]
        places = [*made.origins, *silent]
        empty = pa.RecordBatch.from_arrays([pa.nulls(len(silent), f.type) for f in model.schema], schema=model.schema)
        rows = pa.Table.from_batches([made.batch, empty]).combine_chunks()
        provenance = {
            ENDPOINT: [self.spec.endpoint.endpoint_id] * len(places),
            UNIT: [self.spec.unit_id] * len(places),
            SOURCE_KEY: [keys[place] for place in places],
            VERSION: [versions[place] for place in places],
            MAPPER: [self.mapper.version] * len(places),
        }
        columns = [rows.column(field.name).combine_chunks() for field in model.schema]
        columns += [pa.array(values, model.stored.field(column).type) for column, values in provenance.items()]
        return pa.RecordBatch.from_arrays([_whole(column) for column in columns], schema=model.stored)


def _whole(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
