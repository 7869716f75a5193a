"""Repairs what a comparison found: lost rows through an ordinary run, surplus rows through a numbered erasing commit."""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import pyarrow as pa

from ingest_ray.engine.comparison.compare import Differences
from ingest_ray.engine.comparison.spool import Spool
from ingest_ray.engine.comparison.unit_rows import ComparedRows
from ingest_ray.engine.readers.lost_rows import keys_location, write_key_files
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.recovery import open_sink_for
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.files.folder import open_folder
from ingest_ray.kv import open_state
from ingest_ray.process.failpoints import reached
from ingest_ray.run.launch import launch
from ingest_ray.run.staging_area import keeps_staged, kept_run, staging_for
from ingest_ray.sdk.errors import DeletesRefused
from ingest_ray.sdk.types import RunSummary, WriteMode
from ingest_ray.secrets.locations import staging_location
from ingest_ray.staging.kept_runs import ERASED_KEYS, write_erased_keys
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter

log = logging.getLogger(__name__)


def repair_lost_rows(
    order: RunOrder, spool: Spool, tables: Iterable[str], is_stopping: Callable[[], bool]
) -> RunSummary | None:
    """Reads the rows of the keys in `tables` again and commits them; a unit that is replaced is loaded again as a whole.

    Returns None where there is nothing to read.
    """
    run_id = f"{order.run_id}-repair"
    if order.spec.write_mode is WriteMode.REPLACE:
        return launch([order.model_copy(update={"run_id": run_id})], lambda progress: None, is_stopping)[0]
    location = keys_location(staging_location(order.settings), run_id)
    if not write_key_files(location, chain.from_iterable(_lookup_keys(spool, table, order) for table in tables)):
        return None
    try:
        repair = order.model_copy(update={"run_id": run_id, "task": "repair", "keys_uri": location.uri})
        return launch([repair], lambda progress: None, is_stopping)[0]
    finally:
        open_folder(location).delete("")


def _lookup_keys(spool: Spool, table: str, order: RunOrder) -> Iterator[pa.RecordBatch]:
    """Without the key as text, which a spool of a unit in CDM mode has besides."""
    for batch in spool.read_keys(table):
        yield batch.select(batch.schema.names[1:]) if order.spec.is_cdm else batch


def erase_surplus_rows(
    order: RunOrder,
    rows: ComparedRows,
    spool: Spool,
    compare: Callable[[], Differences],
    *,
    in_sink: int,
    allow_all: bool,
) -> int:
    """Erases the rows of `surplus` that the source proves not to have; returns how many.

    Under the lease, with which no run brings a row back, `compare` compares again: an erasing commit that finds no row would
    leave no number in some sinks.

    Raises:
        DeletesRefused: more rows than `policy.max_delete_fraction`, without consent.
        RunActive: the unit has a live run.
    """
    surplus = spool.count("surplus")
    guard = order.spec.policy.max_delete_fraction
    if surplus > guard * in_sink and not allow_all:
        raise DeletesRefused(
            f"unit '{order.spec.unit_id}': {surplus} of {in_sink} rows are not at the source any more, "
            f"the policy allows {guard:.0%}",
            hint="look at the source first; --allow-deletes goes beyond policy.max_delete_fraction",
        )
    if not surplus:
        return 0
    state = StateWriter.begin(
        open_state(order.settings), unit_key_of(order), order.run_id, this_process(), settings=order.settings
    )
    state.task = "reconcile"
    try:
        open_sink_for(state, writer_for(order, staging_for(order)))
        if not compare().surplus:
            return 0
        if not spool.keep_keys("surplus", rows.proven_gone(spool.read_keys("surplus", only_key=True)), "gone"):
            return 0
        if order.spec.policy.keep_staging and keeps_staged(order):
            keys = spool.read_keys("gone", only_key=True)
            write_erased_keys(staging_location(order.settings), kept_run(order), _renamed_keys(keys))
        sequence = state.record_intent(())
        reached("reconcile:before-erase")
        erased = rows.erase(state.epoch, sequence, spool.read_keys("gone", only_key=True))
        reached("reconcile:after-erase")
        state.apply_commit(sequence)
        return erased
    finally:
        state.end()


def erase_doubled_rows(order: RunOrder, rows: ComparedRows, spool: Spool) -> int:
    """Removes all copies of the rows that the sink has more than once, in one numbered commit; returns how many.

    Their keys are to be read again afterwards. If the process dies before, they are missing, and the next repair finds them.

    Raises:
        RunActive: the unit has a live run.
    """
    state = StateWriter.begin(
        open_state(order.settings), unit_key_of(order), order.run_id, this_process(), settings=order.settings
    )
    state.task = "reconcile"
    try:
        open_sink_for(state, writer_for(order, staging_for(order)))
        sequence = state.record_intent(())
        reached("repair:before-erase")
        erased = rows.erase(state.epoch, sequence, spool.read_keys("doubled", only_key=True), "delete")
        reached("repair:after-erase")
        state.apply_commit(sequence)
        return erased
    finally:
        state.end()


def _renamed_keys(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.rename_columns(ERASED_KEYS.names)
