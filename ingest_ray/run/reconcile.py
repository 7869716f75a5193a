"""Finds rows that were deleted at the source: compares a complete key scan with the keys of the sink, and erases the difference.

Both key sets are streamed into a temporary database file, so that neither has to fit into memory. A row in the sink was at the
source once; if a complete key scan that began later does not have its key, the row was deleted.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from ingest_ray.core.messages import Fault
from ingest_ray.engine.reports import ReconcileReport
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.key_sets import key_sets_of
from ingest_ray.engine.steps.recovery import open_sink_for
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.engine.steps.unit_writer import writer_for
from ingest_ray.kv import open_state
from ingest_ray.logs import context
from ingest_ray.process.failpoints import reached
from ingest_ray.run.staging_area import keeps_staged, kept_run, staging_for
from ingest_ray.sdk.errors import ConfigError, DeletesRefused, IngestError
from ingest_ray.sdk.types import RunFault, RunState, WriteMode
from ingest_ray.staging.kept_runs import ERASED_KEYS, write_erased_keys
from ingest_ray.state.lease import this_process
from ingest_ray.state.writer import StateWriter

log = logging.getLogger(__name__)
BATCH_ROWS = 50_000


def reconcile_unit(order: RunOrder, allow_all: bool = False) -> ReconcileReport:
    """Compares and erases under the unit's lease. `allow_all`: a person consented to exceed `policy.max_delete_fraction`.

    Raises:
        RunActive: the unit has a live run.
    """
    started = time.monotonic()
    with context(run=order.run_id, endpoint=order.spec.endpoint.endpoint_id, unit=order.spec.unit_id):
        state = StateWriter.begin(open_state(order.settings), unit_key_of(order), order.run_id, this_process())
        state.task = "reconcile"
        try:
            report = _reconcile(order, state, allow_all)
        except IngestError as error:
            fault = Fault.of(error)
            failure = RunFault(code=fault.code, message=fault.message, hint=fault.hint)
            report = _report(order, RunState.FAILED).model_copy(update={"error": failure})
        finally:
            state.end()
    return report.model_copy(update={"seconds": round(time.monotonic() - started, 3)})


def _reconcile(order: RunOrder, state: StateWriter, allow_all: bool) -> ReconcileReport:
    if order.spec.write_mode is not WriteMode.UPSERT:
        raise ConfigError(
            f"unit '{order.spec.unit_id}' does not upsert, so its deletes cannot be found",
            hint="set policy.write to upsert with a key; a replacement has no deleted rows anyway",
        )
    open_sink_for(state, writer_for(order, staging_for(order)))
    home = Path(order.settings.home)
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="key-scan-", dir=home) as folder:
        with duckdb.connect(str(Path(folder) / "keys.duckdb")) as keys:
            return _compare_and_erase(order, state, keys, allow_all)


def _compare_and_erase(
    order: RunOrder, state: StateWriter, keys: duckdb.DuckDBPyConnection, allow_all: bool
) -> ReconcileReport:
    key_sets = key_sets_of(order)
    in_sink = _store_keys(keys, "sink", key_sets.keys())
    at_source = _store_keys(keys, "source", key_sets.scan_keys(), "sink")
    width = len(key_sets.schema)
    columns = " AND ".join(f"s.k{index} IS NOT DISTINCT FROM t.k{index}" for index in range(width))
    keys.execute(
        f"CREATE TABLE missing AS SELECT t.* FROM sink t WHERE NOT EXISTS (SELECT 1 FROM source s WHERE {columns})"
    )
    missing = _count(keys, "missing")
    counts = {"keys_at_source": at_source, "keys_in_sink": in_sink, "missing_at_source": missing}
    guard = order.spec.policy.max_delete_fraction
    if missing > guard * in_sink and not allow_all:
        raise DeletesRefused(
            f"unit '{order.spec.unit_id}': {missing} of {in_sink} rows are not at the source any more, "
            f"the policy allows {guard:.0%}",
            hint="look at the source first; `run --reconcile --allow-deletes` goes beyond policy.max_delete_fraction",
        )
    gone = _store_keys(keys, "gone", key_sets.proven_gone(_batches(keys, "missing", key_sets.schema)), "missing")
    erased = 0
    if gone:
        if order.spec.policy.keep_staging and keeps_staged(order):
            write_erased_keys(
                order.settings.staging_uri, kept_run(order), renamed_keys(_batches(keys, "gone", key_sets.schema))
            )
        sequence = state.record_intent(())
        reached("reconcile:before-erase")
        erased = key_sets.erase(state.epoch, sequence, _batches(keys, "gone", key_sets.schema))
        reached("reconcile:after-erase")
        state.apply_commit(sequence)
    return _report(order, RunState.SUCCEEDED).model_copy(update={**counts, "erased": erased})


def renamed_keys(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.rename_columns(ERASED_KEYS.names)


def _store_keys(
    keys: duckdb.DuckDBPyConnection, table: str, batches: Iterable[pa.RecordBatch], like: str | None = None
) -> int:
    """Writes key batches into a table with the columns `k0`, `k1`, ...; returns the number of distinct keys."""
    is_new = True
    for batch in batches:
        renamed = batch.rename_columns([f"k{index}" for index in range(batch.num_columns)])
        keys.register("batch", renamed)
        keys.execute(
            f"CREATE TABLE {table} AS SELECT * FROM batch" if is_new else f"INSERT INTO {table} SELECT * FROM batch"
        )
        keys.unregister("batch")
        is_new = False
    if not is_new:  # several tables of models may have the same key
        keys.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT DISTINCT * FROM {table}")
    if is_new:
        keys.execute(
            f"CREATE TABLE {table} AS SELECT * FROM {like} LIMIT 0" if like else f"CREATE TABLE {table} (k0 INT)"
        )
    return _count(keys, table)


def _count(keys: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(keys.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def _batches(keys: duckdb.DuckDBPyConnection, table: str, shape: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in keys.cursor().sql(f"SELECT DISTINCT * FROM {table}").to_arrow_reader(BATCH_ROWS):
        yield pa.RecordBatch.from_arrays(batch.columns, names=shape.names).cast(shape)


def _report(order: RunOrder, state: RunState) -> ReconcileReport:
    return ReconcileReport(
        run_id=order.run_id,
        endpoint_id=order.spec.endpoint.endpoint_id,
        unit_id=order.spec.unit_id,
        sink_id=order.spec.config.sink_id,
        state=state,
        how=order.spec.policy.deletes,
    )
