"""Maps the staged pages of one slice to pages of each CDM model. Any process may map a slice, more than once."""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ingest_ray.cdm import CdmMapper, MapContext, mapper_for, model_of
from ingest_ray.cdm.expressions import ExpressionMapper
from ingest_ray.cdm.models import ENDPOINT, KEY, MAPPER, SOURCE_KEY, UNIT, VERSION
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.reader import open_quarantine
from ingest_ray.engine.steps.source_keys import source_keys, source_versions
from ingest_ray.engine.steps.unit_layout import system_of
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import StageWriter, Staging
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import Handle, Mapped, MappedModel, RunMode, Slice, UnitSpec
from ingest_ray.secrets import masked


def mapper_of(spec: UnitSpec) -> CdmMapper:
    """The expressions of ingest.yaml, else the mapper that the source's package registered."""
    if spec.config.cdm.models:
        return ExpressionMapper(spec.config.cdm, system_of(spec))
    return mapper_for(spec.endpoint.template, spec.unit_id)


def map_slice(order: RunOrder, piece: Slice, attempt: int, handle: Handle, staging: Staging) -> Mapped:
    """Maps every staged page. Raises `StagingLost` where pages are gone: the slice must be read again; nothing was staged."""
    started = time.monotonic()
    spec = order.spec
    mapper = mapper_of(spec)
    rejects = open_quarantine(order, piece.model_copy(update={"scope_id": f"{piece.scope_id}.map"}), attempt)
    origin, endpoint = Origin(spec, mapper), masked(spec.endpoint)
    seen = RowHash()
    with ExitStack() as undo:
        undo.callback(rejects.abort)
        stages = {name: _ModelStage.open(staging, order, piece, attempt, name) for name in mapper.models}
        for stage in stages.values():
            undo.callback(stage.writer.abort)
        for page in staging.read(handle):
            seen.update(page)
            refused: dict[int, tuple[str, str | None]] = {}
            context = MapContext(endpoint, spec.dataset, system_of(spec), _collect_into(refused))
            made = mapper.map(page, context)
            for index, (reason, column) in sorted(refused.items()):
                rejects.reject(page.slice(index, 1).to_pylist()[0], reason, column)
            for name, stage in stages.items():
                keeps = name in mapper.keeps
                stage.write(origin.stamped(name, page, made[name], refused, keeps=keeps))
        reached("map:after-map")
        uri = rejects.close()
        models = tuple(
            MappedModel(model_id=name, handle=stage.writer.close(), rows=stage.rows) for name, stage in stages.items()
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


def _collect_into(refused: dict[int, tuple[str, str | None]]) -> Any:
    def reject(row: int, reason: str, column: str | None) -> None:
        refused.setdefault(row, (reason, column))

    return reject


@dataclass
class _ModelStage:
    """The staged rows of one model of one slice. `rows` does not count the markers."""

    writer: StageWriter
    rows: int = 0

    @classmethod
    def open(cls, staging: Staging, order: RunOrder, piece: Slice, attempt: int, name: str) -> "_ModelStage":
        stored = model_of(name).stored
        return cls(staging.open(order.run_id, f"{piece.slice_id}@{name}", attempt, stored))

    def write(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows - batch.column(KEY).null_count
        if batch.num_rows:
            self.writer.write(batch)


@dataclass
class Origin:
    """Adds to each row of a model the key and version of the source row that it was made from."""

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
        """The rows with their provenance, then a marker for each source row that produced none.

        With `keeps`, rows are never erased and have no source key.
        """
        model = model_of(name)
        keys = [None] * page.num_rows if keeps else source_keys(page, self._keys)
        versions = source_versions(page, self._cursor)
        used = set(made.origins)
        unmapped = [n for n, key in enumerate(keys) if n not in used and n not in refused and key is not None]
        origins = [*made.origins, *unmapped]
        empty = pa.RecordBatch.from_arrays([pa.nulls(len(unmapped), f.type) for f in model.schema], schema=model.schema)
        rows = pa.Table.from_batches([made.batch, empty]).combine_chunks()
        provenance = {
            ENDPOINT: [self.spec.endpoint.endpoint_id] * len(origins),
            UNIT: [self.spec.unit_id] * len(origins),
            SOURCE_KEY: [keys[index] for index in origins],
            VERSION: [versions[index] for index in origins],
            MAPPER: [self.mapper.version] * len(origins),
        }
        columns = [rows.column(field.name).combine_chunks() for field in model.schema]
        columns += [pa.array(values, model.stored.field(column).type) for column, values in provenance.items()]
        return pa.RecordBatch.from_arrays([_whole(column) for column in columns], schema=model.stored)


def _whole(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
