"""Reads the rejected rows of a unit from quarantine as if they were a source.

For upserts only: an interrupted replay starts again, and an append has no record of what it appended before. A row that
still does not fit goes into quarantine again.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa

from ingest_ray.engine.masking.layout import layout_of
from ingest_ray.engine.masking.masked_source import masked_source
from ingest_ray.engine.readers.drifted_schema import DriftedSource
from ingest_ray.engine.readers.kept_staging import KeptStaging
from ingest_ray.engine.readers.lost_rows import LostRows
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.quarantine.rejected_rows import QuarantineEntry, list_quarantine, read_rejected_rows
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.contracts import Descriptor, Probe, ReadContext, RowSource
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.row_batches import batches_of
from ingest_ray.sdk.types import Axis, Effect, Interval, Piece, Scope, SegmentState, Slice, UnitSpec
from ingest_ray.secrets.locations import quarantine_file, quarantine_location
from ingest_ray.secrets.mask_key import read_mask_key
from ingest_ray.sinks.provenance import READ_AT

AXIS = Axis(kind="key", columns=("file",))


def strategy_of(order: RunOrder) -> RowSource:
    """Returns the source of the order's rows: the strategy, with wrappers for a drifted schema and for masks, the quarantine,
    kept staging, or the rows of listed keys. Quarantine and staging have masked values already."""
    strategy = strategy_for(order.spec.endpoint.template)
    if order.task == "replay":
        return QuarantineReplay(strategy.descriptor, order)
    if order.task == "remap":
        return KeptStaging(strategy.descriptor, order)
    source: RowSource = strategy if order.source_dataset is None else DriftedSource(strategy, order.source_dataset)
    source = masked_source(source, order.spec, lambda: read_mask_key(order.settings))
    return LostRows(strategy.descriptor, order, source) if order.task == "repair" else source


def replayed_files(order: RunOrder) -> list[QuarantineEntry]:
    """Returns the unit's committed quarantine files, oldest first."""
    config = order.spec.config
    entries = list_quarantine(quarantine_location(order.settings), order.spec.endpoint.endpoint_id, order.spec.unit_id)
    return [entry for entry in entries if entry.sink_id == config.sink_id]


class QuarantineReplay:
    """A source of rows whose axis is the number of the quarantine file: each piece is one file."""

    def __init__(self, descriptor: Descriptor, order: RunOrder) -> None:
        self.descriptor = descriptor
        self._order = order

    @contextmanager
    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
        if not spec.write_mode.merges:
            raise ConfigError(
                f"unit '{spec.unit_id}' does not upsert, so a replay could double rows",
                hint="mend the rows at the source, or set policy.write to upsert with a key",
            )
        files = replayed_files(self._order)
        self._refuse_other_layouts(files)
        yield Probe(strategy="replay of quarantine", bytes=0, facts={"files": [file.uri for file in files]}, live=files)

    def _refuse_other_layouts(self, files: Sequence[QuarantineEntry]) -> None:
        layout = layout_of(self._order.spec.config, self._order.settings)
        if any(file.layout != layout for file in files):
            raise ConfigError(
                f"rows of unit '{self._order.ref}' were rejected with other masks than its policy has now",
                hint="ingest-ray quarantine discard removes them; load the unit again, which reads them from the source",
            )

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        if not probe.live:
            return []
        target = Interval(lower=(0,), upper=(len(probe.live),))
        return [Scope(scope_id="replay", segment="quarantine", axis=AXIS, target=target, effect=Effect.AHEAD)]

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        for number, file in enumerate(probe.live):
            read_at = file.read_at if file.read_at is not None else int(file.at.timestamp() * 10**6)
            interval = Interval(lower=(number,), upper=(number + 1,))
            yield Piece(interval=interval, hints={"uri": file.uri, READ_AT: read_at})

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        file = quarantine_file(str(piece.hints["uri"]), self._order.settings)
        return batches_of((rejected.raw for rejected in read_rejected_rows(file)), context)
