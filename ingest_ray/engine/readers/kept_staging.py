"""Reads the kept staged pages of a unit as if they were a source, so that they are mapped again.

Makes no request to the source and moves no watermark. A unit that is upserted gets all kept runs; a unit that is replaced
gets the newest complete run.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pyarrow as pa

from ingest_ray.engine.masking.layout import layout_of
from ingest_ray.engine.readers.drifted_schema import fitted_batch
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.source_keys import source_keys
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.sdk.contracts import Descriptor, Probe, ReadContext
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Axis, Effect, Handle, Interval, Piece, Scope, SegmentState, Slice, UnitSpec, WriteMode
from ingest_ray.secrets.locations import staging_location
from ingest_ray.sinks.provenance import READ_AT
from ingest_ray.staging import FileStaging
from ingest_ray.staging.kept_runs import KeptRun, list_kept_runs, read_erased_keys, read_kept_slices

AXIS = Axis(kind="key", columns=("slice",))


class KeptStaging:
    """A source of rows whose axis is the number of the kept slice."""

    def __init__(self, descriptor: Descriptor, order: RunOrder) -> None:
        self.descriptor = descriptor
        self._order = order
        settings = order.settings
        self._staging = FileStaging(staging_location(settings), page_bytes=settings.staging.page_bytes)

    @contextmanager
    def probe(self, spec: UnitSpec, known: Mapping[str, SegmentState]) -> Iterator[Probe]:
        handles = kept_handles(self._order, self._staging)
        facts = {"runs": len({handle.run_id for handle in handles}), "slices": len(handles)}
        yield Probe(
            strategy="remap of staging",
            rows=sum(handle.rows for handle in handles),
            bytes=sum(handle.bytes for handle in handles),
            facts=facts,
            live=handles,
        )

    def scopes(self, spec: UnitSpec, probe: Probe, known: Mapping[str, SegmentState]) -> Sequence[Scope]:
        target = Interval(lower=(0,), upper=(len(probe.live),))
        return [Scope(scope_id="remap", segment="kept", axis=AXIS, target=target, effect=Effect.AHEAD)]

    def cut(self, spec: UnitSpec, probe: Probe, scope: Scope, gap: Interval) -> Iterator[Piece]:
        kept = list_kept_runs(staging_location(self._order.settings), unit_key_of(self._order))
        read_at = {run.run_id: run.read_at or int(run.started_at * 10**6) for run in kept}
        for number, handle in enumerate(probe.live):
            yield Piece(
                interval=Interval(lower=(number,), upper=(number + 1,)),
                estimated_rows=handle.rows,
                estimated_bytes=handle.bytes,
                hints={"uri": handle.uri, READ_AT: read_at[handle.run_id]},
            )

    def read(self, spec: UnitSpec, piece: Slice, context: ReadContext) -> Iterator[pa.RecordBatch]:
        handle = self._staging.load(str(piece.hints["uri"]))
        root, unit_key = staging_location(self._order.settings), unit_key_of(self._order)
        started_at = next(run.started_at for run in list_kept_runs(root, unit_key) if run.run_id == handle.run_id)
        erased = read_erased_keys(root, unit_key, started_at)
        for page in self._staging.read(handle):
            if erased:
                is_alive = [key not in erased for key in source_keys(page, spec.key)]
                page = page.filter(pa.array(is_alive, pa.bool_()))
            columns = [
                page.column(field.name) if field.name in page.schema.names else pa.nulls(page.num_rows, field.type)
                for field in context.schema
            ]
            named = pa.RecordBatch.from_arrays(columns, names=context.schema.names)
            yield fitted_batch(named, context)


def kept_handles(order: RunOrder, staging: FileStaging) -> list[Handle]:
    """Raises `ConfigError` where staging keeps nothing of the unit."""
    root = staging_location(order.settings)
    runs = [run for run in list_kept_runs(root, unit_key_of(order)) if not run.has_erased]
    refuse_other_layouts(order, runs)
    if order.spec.write_mode is WriteMode.REPLACE:
        runs = [run for run in runs if run.is_complete][-1:]
    handles = [handle for run in runs for handle in read_kept_slices(staging, root, run.run_id)]
    if not handles:
        raise ConfigError(
            f"staging keeps nothing of unit '{order.ref}'",
            hint="set policy.keep_staging, such as 7d, and run the unit: from then on it can be mapped again",
        )
    return handles


def refuse_other_layouts(order: RunOrder, runs: Sequence[KeptRun]) -> None:
    """Raises `ConfigError` where a run was staged with other masks: its pages would bring back what is masked now."""
    layout = layout_of(order.spec.config, order.settings)
    other = next((run.run_id for run in runs if run.layout != layout), None)
    if other is not None:
        raise ConfigError(
            f"staging keeps run '{other}' of unit '{order.ref}' with other masks than its policy has now",
            hint="run the unit and remap once the older runs have expired, or remove their folders below the staging's root",
        )
