"""Prepares mapped slices at a CDM sink and commits them: all models of a unit under one sequence number."""

import time
from collections.abc import Sequence

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.model_tables import tables_of
from ingest_ray.engine.steps.refused_sources import RefusedSources, without_sources
from ingest_ray.engine.steps.unit_layout import opened_sink
from ingest_ray.process.failpoints import reached
from ingest_ray.registry import open_models
from ingest_ray.sdk.contracts import ModelProgressReader, ModelSink, ModelTable, SinkProgress, Staging
from ingest_ray.sdk.errors import LedgerMismatch, RowsRejected
from ingest_ray.sdk.row_hash import RowHash, sum_of_hashes
from ingest_ray.sdk.types import Handle, Mapped, Prepared, Receipt, Slice, WriteMode


class ModelWriter:
    """A `UnitWriter` of the tables of a unit's models. Counts are of source rows, and separately of each model."""

    def __init__(self, order: RunOrder, staging: Staging) -> None:
        self._sink: ModelSink = open_models(opened_sink(order))
        self._order = order
        self._staging = staging
        is_replaced = order.spec.write_mode is WriteMode.REPLACE
        self.write = (
            WriteMode.REPLACE if is_replaced else WriteMode.UPSERT
        )  # rows of models are always merged by their id
        self.tables: tuple[ModelTable, ...] = tables_of(order.spec, order.run_id, is_repair=order.task == "repair")

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
        try:
            prepared = _whole(piece, mapped, self._prepare_parts(piece, mapped, frozenset()))
        except RowsRejected as error:
            prepared = self._prepare_without_refused_rows(piece, handle, mapped, error)
        reached("sink:after-prepare")
        return prepared.model_copy(update={"seconds": time.monotonic() - started})

    def _prepare_parts(self, piece: Slice, mapped: Mapped, refused: frozenset[str]) -> list[Prepared]:
        """`refused`: the keys of source rows of which nothing is prepared."""
        parts: list[Prepared] = []
        try:
            for table, made in zip(self.tables, mapped.models, strict=True):
                assert table.target.model == made.model_id
                left_out = RowHash()
                batches = without_sources(self._staging.read(made.handle), refused, left_out)
                part = self._sink.prepare(table, piece, batches)
                parts.append(part)
                rows = part.rows + left_out.rows
                row_hash = part.row_hash and sum_of_hashes(part.row_hash, left_out.hexdigest())
                if rows != made.handle.rows or row_hash not in ("", made.handle.row_hash):
                    raise LedgerMismatch(
                        f"slice '{piece.slice_id}', model '{made.model_id}': {made.handle.rows} rows staged (hash "
                        f"{made.handle.row_hash}), {rows} prepared (hash {row_hash})"
                    )
        except (LedgerMismatch, RowsRejected):
            self.abort([_whole(piece, mapped, parts)] if parts else [])
            raise
        return parts

    def _prepare_without_refused_rows(
        self, piece: Slice, handle: Handle, mapped: Mapped, error: RowsRejected
    ) -> Prepared:
        """Puts the source rows into quarantine of which the sink refuses a row of a model."""
        sources = RefusedSources(self._order, self._sink, piece, self._staging)
        refused = sources.find(self.tables, mapped, error)
        parts = self._prepare_parts(piece, mapped, frozenset(refused))
        rejects = sources.quarantine(handle, refused)
        prepared = _whole(piece, mapped, parts)
        return prepared.model_copy(
            update={
                "rows": mapped.rows - rejects.rows,
                "rows_quarantined": rejects.rows,
                "quarantine_uri": rejects.close(),
                "first_rejection": rejects.first_reason,
            }
        )

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
            for index, part in enumerate(parts):  # fewer than tables where one of them refused its rows
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
