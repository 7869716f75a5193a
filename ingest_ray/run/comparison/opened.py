"""Opens the comparison of one unit: its rows on both sides, its checkpoint, and its spool."""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest_ray.engine.comparison.compare import Comparison, Differences
from ingest_ray.engine.comparison.model_rows import ModelRows
from ingest_ray.engine.comparison.spool import Spool
from ingest_ray.engine.comparison.unit_rows import ComparedRows, TableRows
from ingest_ray.engine.reports import ComparisonProgress
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import staged_schema, unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv import open_state
from ingest_ray.run.staging_area import staging_for
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Effect, RunMode, SegmentState, WriteMode
from ingest_ray.state import UnitState, read_states
from ingest_ray.state.shared_permits import sharing_permits

KEPT_S = 24 * 3600  # an unfinished comparison that is older begins anew


@dataclass(frozen=True)
class OpenComparison:
    rows: ComparedRows
    spool: Spool
    known: Mapping[str, SegmentState]

    def compare(
        self, order: RunOrder, observe: Callable[[ComparisonProgress], None], is_stopping: Callable[[], bool]
    ) -> Differences:
        def read_sequence() -> int:
            return sink_sequence(order)

        comparison = Comparison(self.rows, self.spool, self.known, read_sequence, observe, is_stopping)
        is_append = order.spec.write_mode is WriteMode.APPEND  # it may have several versions of a row
        return comparison.run(order.spec.dataset.estimated_rows, counts_doubled=not is_append and not order.spec.is_cdm)


@contextmanager
def open_comparison(order: RunOrder, *, with_values: bool) -> Iterator[OpenComparison]:
    """The spool is deleted at the end, except after an error: then the next comparison goes on with it.

    Raises:
        ConfigError: the unit has no key, or was not loaded yet.
        ModeUnsupported: source or sink cannot be compared.
        RunActive: another process compares the unit.
    """
    key = unit_key_of(order)
    state = read_states(open_state(order.settings), key)
    refuse_unloaded(order, state)
    rows: ComparedRows = (
        ModelRows(order, with_values=with_values) if order.spec.is_cdm else TableRows(order, with_values=with_values)
    )
    name = hashlib.sha256(f"{key}\n{rows.compared}".encode()).hexdigest()[:24]
    folder = Path(order.settings.home) / "verify" / name
    schema = staged_schema(order.spec)
    identity = f"{rows.keys}\n{rows.compared}\n{schema}\n{order.spec.policy.where}\n{order.spec.config.filters}"
    spool = Spool(folder, hashlib.sha256(identity.encode()).hexdigest(), rows.keys, rows.width, KEPT_S, time.time())
    try:
        with sharing_permits(order.settings):
            yield OpenComparison(rows, spool, state.segments)
    except BaseException:
        spool.close()
        raise
    spool.delete()


def sink_sequence(order: RunOrder) -> int:
    """The number of the last commit: the sink's own, because a process that died may not have recorded it in the state."""
    progress = writer_for(order, staging_for(order)).read_progress()
    return (
        read_states(open_state(order.settings), unit_key_of(order)).sequence if progress is None else progress.sequence
    )


def refuse_unloaded(order: RunOrder, state: UnitState) -> None:
    """Raises `ConfigError` where the sink has no complete load of the unit yet: then every other row would be missing."""
    loads = [scope for one in state.segments.values() for scope in one.scopes if scope.effect is Effect.LOAD]
    is_full = order.spec.config.run_mode is RunMode.FULL
    is_begun = any(one.is_loaded or (one.watermark is not None and not is_full) for one in state.segments.values())
    if loads or not is_begun:
        what = "its load is not complete" if loads else "it was not loaded yet"
        raise ConfigError(
            f"unit '{order.ref}' cannot be compared with its sink: {what}",
            hint=f"ingest-ray run {order.spec.endpoint.endpoint_id} {order.spec.unit_id}",
        )
