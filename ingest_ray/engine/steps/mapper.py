"""Maps the staged pages of one slice to pages of each CDM model. Any process may map a slice, more than once."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ingest_ray.cdm import CdmMapper, MapContext, ModelRows, mapper_for, model_of
from ingest_ray.cdm.expressions import ExpressionMapper
from ingest_ray.cdm.models import ENDPOINT, KEY, MAPPER, SOURCE_KEY, UNIT, VERSION
from ingest_ray.engine.masking.masked_dataset import masked_dataset
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.reader import open_quarantine, read_at_of
from ingest_ray.engine.steps.refused_rows import misfits_of
from ingest_ray.engine.steps.source_keys import source_keys, source_versions
from ingest_ray.engine.steps.unit_layout import opened_sink, system_of
from ingest_ray.process.failpoints import reached
from ingest_ray.quarantine.raw_rows import raw_row
from ingest_ray.registry import open_models
from ingest_ray.sdk.contracts import ModelSink, StageWriter, Staging
from ingest_ray.sdk.row_hash import RowHash
from ingest_ray.sdk.types import Handle, Mapped, MappedModel, RunMode, Slice, UnitSpec
from ingest_ray.secrets import masked

Refusal = tuple[str, str | None]
"""Why a source row is refused, and the column, where it is one."""


def mapper_of(spec: UnitSpec) -> CdmMapper:
    """The expressions of ingest.yaml, else the mapper that the source's package registered."""
    if spec.config.cdm.models:
        return ExpressionMapper(spec.config.cdm, system_of(spec))
    return mapper_for(spec.endpoint.template, spec.unit_id)


def map_slice(order: RunOrder, piece: Slice, attempt: int, handle: Handle, staging: Staging) -> Mapped:
    """Maps every staged page. Raises `StagingLost` where pages are gone: the slice must be read again; nothing was staged."""
    started = time.monotonic()
    spec = order.spec
    mapper, dataset = mapper_of(spec), masked_dataset(spec)
    rejects = open_quarantine(order, piece.model_copy(update={"scope_id": f"{piece.scope_id}.map"}), attempt)
    origin, endpoint = Origin(spec, mapper, read_at_of(order, piece)), masked(spec.endpoint)
    fits = SinkCheck(open_models(opened_sink(order)))
    seen = RowHash()
    with ExitStack() as undo:
        undo.callback(rejects.abort)
        stages = {name: _ModelStage.open(staging, order, piece, attempt, name) for name in mapper.models}
        for stage in stages.values():
            undo.callback(stage.writer.abort)
        for page in staging.read(handle):
            seen.update(page)
            refused: dict[int, Refusal] = {}
            context = MapContext(endpoint, dataset, system_of(spec), _collect_into(refused))
            made = mapper.map(page, context)
            mapped = origin.stamp_all(page, made, refused)
            if fits.refuse_unfit(mapped, refused):
                mapped = origin.stamp_all(page, made, refused)
            for index, (reason, column) in sorted(refused.items()):
                rejects.reject(raw_row(page, index), reason, column)
            for name, stage in stages.items():
                stage.write(mapped[name].batch)
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
        first_rejection=rejects.first_reason,
        seconds=time.monotonic() - started,
    )


def _collect_into(refused: dict[int, Refusal]) -> Any:
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
    read_at: int
    _keys: tuple[str, ...] = field(init=False)
    _cursor: str | None = field(init=False)

    def __post_init__(self) -> None:
        self._keys = self.spec.key
        is_incremental = self.spec.config.run_mode is RunMode.INCREMENTAL
        self._cursor = self.spec.policy.cursor if is_incremental else None

    def stamp_all(
        self, page: pa.RecordBatch, made: Mapping[str, ModelRows], refused: Mapping[int, Refusal]
    ) -> dict[str, ModelRows]:
        """The rows of every model with their provenance, without those of refused source rows."""
        return {name: self._stamped(name, page, made[name], refused) for name in self.mapper.models}

    def _stamped(self, name: str, page: pa.RecordBatch, made: ModelRows, refused: Mapping[int, Refusal]) -> ModelRows:
        """The rows, then a marker for each source row that produced none. Rows of a model that the mapper keeps are never erased
        and have no source key.
        """
        if any(origin in refused for origin in made.origins):
            kept = [row for row, origin in enumerate(made.origins) if origin not in refused]
            made = ModelRows(made.batch.take(pa.array(kept, pa.int64())), [made.origins[row] for row in kept])
        model, keeps = model_of(name), name in self.mapper.keeps
        keys = [None] * page.num_rows if keeps else source_keys(page, self._keys)
        versions = source_versions(page, self._cursor, self.read_at)
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
        return ModelRows(
            pa.RecordBatch.from_arrays([_whole(column) for column in columns], schema=model.stored), origins
        )


@dataclass
class SinkCheck:
    """Refuses the source rows of which a row of a model is beyond the limits that the sink declares."""

    sink: ModelSink

    def refuse_unfit(self, mapped: Mapping[str, ModelRows], refused: dict[int, Refusal]) -> bool:
        """True where a source row was added to `refused`."""
        before = len(refused)
        for name, rows in mapped.items():
            for row, misfit in misfits_of(self.sink, rows.batch.schema, rows.batch).items():
                refused.setdefault(rows.origins[row], (f"column '{misfit.column}' of {name} {misfit.reason}", None))
        return len(refused) > before


def _whole(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
