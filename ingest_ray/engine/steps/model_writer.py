"""Prepares mapped slices at a CDM sink and commits them: all models of a unit under one sequence number."""

import time
from collections.abc import Sequence

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.model_tables import tables_of
from ingest_ray.engine.steps.unit_layout import resolved
from ingest_ray.process.failpoints import reached
from ingest_ray.registry import open_models
from ingest_ray.sdk.contracts import ModelProgressReader, ModelSink, ModelTable, SinkProgress, Staging
from ingest_ray.sdk.errors import LedgerMismatch
from ingest_ray.sdk.types import Handle, Mapped, Prepared, Receipt, Slice, WriteMode


class ModelWriter:
    """A `UnitWriter` of the tables of a unit's models. Counts are of source rows, and separately of each model."""

    def __init__(self, order: RunOrder, staging: Staging) -> None:
        self._sink: ModelSink = open_models(resolved(order.sink, order.settings))
        self._staging = staging
        is_replaced = order.spec.write_mode is WriteMode.REPLACE
        self.write = (
            WriteMode.REPLACE if is_replaced else WriteMode.UPSERT
        )  # rows of models are always merged by their id
        self.tables: tuple[ModelTable, ...] = tables_of(order.spec, order.run_id)

    @property
    def location(self) -> str:
        return ", ".join(self._sink.location(table.target) for table in self.tables)

    def read_progress(self) -> SinkProgress | None:
        return self._sink.read_progress(self.tables) if isinstance(self._sink, ModelProgressReader) else None

    def open(self, epoch: int) -> int:
        return self._sink.open(self.tables, epoch)

    def is_empty(self) -> bool:
        """Always False: other units may have written rows with the same ids."""
        return False

    def prepare(self, piece: Slice, handle: Handle, mapped: Mapped | None) -> Prepared:
        """Raises `LedgerMismatch` where the sink did not prepare exactly the mapped rows."""
        assert mapped is not None
        started = time.monotonic()
        reached("sink:before-prepare")
        parts: list[Prepared] = []
        for table, made in zip(self.tables, mapped.models, strict=True):
            assert table.target.model == made.model_id
            part = self._sink.prepare(table, piece, self._staging.read(made.handle))
            parts.append(part)
            if (part.rows, part.row_hash) != (made.handle.rows, made.handle.row_hash):
                self.abort([_whole(piece, mapped, parts)])
                raise LedgerMismatch(
                    f"slice '{piece.slice_id}', model '{made.model_id}': {made.handle.rows} rows staged (hash "
                    f"{made.handle.row_hash}), {part.rows} prepared (hash {part.row_hash})"
                )
        reached("sink:after-prepare")
        return _whole(piece, mapped, parts).model_copy(update={"seconds": time.monotonic() - started})

    def commit(self, epoch: int, sequence: int, group: Sequence[Prepared]) -> Receipt:
        started = time.monotonic()
        reached("sink:before-commit")
        counts = self._sink.commit(self.tables, epoch, sequence, self._groups(group))
        reached("sink:after-commit")
        return Receipt(
            epoch=epoch,
            sequence=sequence,
            rows_committed=sum(one.rows for one in group),
            models={str(table.target.model): count for table, count in zip(self.tables, counts, strict=True)},
            location=self.location,
            seconds=time.monotonic() - started,
        )

    def abort(self, group: Sequence[Prepared]) -> None:
        self._sink.abort(self._groups(group))

    def _groups(self, group: Sequence[Prepared]) -> list[list[Prepared]]:
        """The prepared parts by table."""
        by_table: list[list[Prepared]] = [[] for _ in self.tables]
        for one in group:
            parts = one.payload["parts"]
            assert isinstance(parts, list)
            for index, part in enumerate(parts):
                by_table[index].append(Prepared.model_validate(part))
        return by_table


def _whole(piece: Slice, mapped: Mapped, parts: Sequence[Prepared]) -> Prepared:
    return Prepared(
        slice_id=piece.slice_id,
        rows=mapped.rows,
        bytes=sum(part.bytes for part in parts),
        row_hash=mapped.row_hash,
        models={name: rows for part in parts for name, rows in part.models.items()},
        payload={"parts": [part.model_dump(mode="json") for part in parts]},
    )
