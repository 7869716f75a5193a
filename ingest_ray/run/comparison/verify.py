"""`verify`: compares all rows of a unit with its sink, names the keys that differ, and repairs them where that is requested.

Takes no lease while it compares: runs of the unit go on. A repair is a run like any other.
"""

import time
from collections.abc import Callable, Collection

from pydantic import JsonValue

from ingest_ray.engine.comparison.compare import Differences, Stopped
from ingest_ray.engine.comparison.spool import Spool
from ingest_ray.engine.comparison.unit_rows import ComparedRows
from ingest_ray.engine.readers.quarantine import strategy_of
from ingest_ray.engine.reports import ComparisonProgress, VerifyReport
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.logs import context
from ingest_ray.quarantine.values import encode_value
from ingest_ray.run.comparison.opened import OpenComparison, open_comparison
from ingest_ray.run.comparison.repair import erase_doubled_rows, erase_surplus_rows, repair_lost_rows
from ingest_ray.sdk.contracts import RowLookup, capability
from ingest_ray.sdk.errors import DeletesRefused, RowsDiffer
from ingest_ray.sdk.types import Dataset, Model, RunFault, RunMode, RunState, RunSummary, WriteMode

PROVED_KEYS = 1_000  # of surplus keys for which a report asks the source: some sources answer one request for each


class VerifyOptions(Model):
    with_values: bool = False
    """Compare the values of rows, too, not only their keys."""
    repair: bool = False
    allow_deletes: bool = False
    limit: int = 10
    """How many keys of each kind are named."""


def verify_unit(
    order: RunOrder,
    options: VerifyOptions,
    observe: Callable[[ComparisonProgress], None] = lambda progress: None,
    is_stopping: Callable[[], bool] = lambda: False,
    landed: Dataset | None = None,
) -> VerifyReport:
    """`landed`: the dataset as the unit was last run with. Columns that are newer are not compared; a repair brings them along.

    Raises the errors of source and sink, which end the comparison; the next one goes on with what was read.
    """
    started = time.monotonic()
    new = new_columns(order, landed)
    with context(run=order.run_id, endpoint=order.spec.endpoint.endpoint_id, unit=order.spec.unit_id):
        try:
            capability(strategy_of(order), RowLookup)
            with open_comparison(without_columns(order, new), with_values=options.with_values) as opened:
                report = _verify(order, options, opened, observe, is_stopping)
        except Stopped:
            report = _report(order, RunState.PAUSED)
    update: dict[str, object] = {"seconds": round(time.monotonic() - started, 3)}
    if new:
        note = f"new at the source, and in the sink with the next run: {', '.join(new)}"
        update |= {"not_compared": (*report.not_compared, *new), "notes": (*report.notes, note)}
    return report.model_copy(update=update)


def new_columns(order: RunOrder, landed: Dataset | None) -> tuple[str, ...]:
    """The columns that the sink's table does not have yet, because they came after the unit's last run. In CDM mode the tables are those
    of the models, whatever the source has."""
    if landed is None or order.spec.is_cdm:
        return ()
    known = {column.name for column in landed.columns}
    return tuple(column.name for column in order.spec.dataset.columns if column.name not in known)


def without_columns(order: RunOrder, names: Collection[str]) -> RunOrder:
    if not names:
        return order
    columns = tuple(column for column in order.spec.dataset.columns if column.name not in names)
    policy, config = order.spec.policy, order.spec.config
    update = {
        "columns": policy.columns and tuple(name for name in policy.columns if name not in names),
        "mask": {name: mask for name, mask in policy.mask.items() if name not in names},
        "rename": {old: new for old, new in policy.rename.items() if old not in names},
    }
    narrow = {
        "dataset": order.spec.dataset.model_copy(update={"columns": columns}),
        "config": config.model_copy(update={"policy": policy.model_copy(update=update)}),
    }
    return order.model_copy(update={"spec": order.spec.model_copy(update=narrow)})


def _verify(
    order: RunOrder,
    options: VerifyOptions,
    opened: OpenComparison,
    observe: Callable[[ComparisonProgress], None],
    is_stopping: Callable[[], bool],
) -> VerifyReport:
    found = opened.compare(order, observe, is_stopping)
    report = _described(order, options, opened, found)
    if report.differences and options.repair:
        return _repaired(order, options, opened, report, found, is_stopping)
    if report.differences:
        return report.model_copy(update={"state": RunState.FAILED, "error": _differ(report)})
    return report


def _described(order: RunOrder, options: VerifyOptions, opened: OpenComparison, found: Differences) -> VerifyReport:
    rows, spool = opened.rows, opened.spool
    surplus, notes = found.surplus, _notes(order, rows)
    if surplus > PROVED_KEYS:
        notes.append(
            "too many surplus keys to ask the source for each one: --repair does, and erases only those that are gone"
        )
    elif surplus:
        surplus = spool.keep_keys("surplus", rows.proven_gone(spool.read_keys("surplus", only_key=True)), "gone")
    counts = {"missing": found.missing, "surplus": surplus, "different": found.different, "doubled": found.doubled}
    proven = "surplus" if surplus > PROVED_KEYS else "gone"
    tables = {"missing": "missing", "surplus": proven, "different": "different", "doubled": "doubled"}
    named = {
        f"{kind}_keys": _samples(spool, tables[kind], options.limit) if count else () for kind, count in counts.items()
    }
    update = {
        **counts,
        **named,
        "compared": rows.compared,
        "is_by_sums": found.is_by_sums,
        "rows_at_source": found.rows_at_source,
        "rows_in_sink": found.rows_in_sink,
        "newer": found.newer,
        "not_compared": rows.not_compared,
        "is_resumed": spool.is_resumed,
        "notes": tuple(notes),
    }
    return _report(order, RunState.SUCCEEDED).model_copy(update=update)


def _samples(spool: Spool, table: str, limit: int) -> tuple[dict[str, JsonValue], ...]:
    return tuple({name: encode_value(value) for name, value in row.items()} for row in spool.samples(table, limit))


def _notes(order: RunOrder, rows: ComparedRows) -> list[str]:
    notes = list(rows.source_notes())
    if order.spec.config.run_mode is RunMode.FULL:
        notes.append(
            "the unit follows no cursor: rows that changed at the source since its last run count as differences"
        )
    return notes


def _repaired(
    order: RunOrder,
    options: VerifyOptions,
    opened: OpenComparison,
    report: VerifyReport,
    found: Differences,
    is_stopping: Callable[[], bool],
) -> VerifyReport:
    write, notes = order.spec.write_mode, list(report.notes)
    summary: RunSummary | None = None
    has_copies = report.doubled > 0 and write.merges
    if has_copies:
        erase_doubled_rows(order, opened.rows, opened.spool)
    if report.missing + report.different or has_copies or write is WriteMode.REPLACE:
        tables = ("missing", "different", *(["doubled"] if has_copies else []))
        summary = repair_lost_rows(order, opened.spool, tables, is_stopping)
    erased, refused = 0, None
    if report.surplus and write.merges:
        try:
            erased = erase_surplus_rows(
                order,
                opened.rows,
                opened.spool,
                lambda: opened.compare(order, lambda progress: None, is_stopping),
                in_sink=found.rows_in_sink,
                allow_all=options.allow_deletes,
            )
        except DeletesRefused as error:
            refused = RunFault(code=error.code, message=error.message, hint=error.hint)
    elif report.surplus and write is WriteMode.APPEND:
        notes.append("rows that only the sink has stay: a table that is appended to is never erased from")
    rest = opened.compare(order, lambda progress: None, is_stopping)
    left = _described(order, options, opened, rest)
    failure = summary.error if summary is not None else None
    fault = failure or refused or (_differ(left) if left.differences else None)
    update = {
        "repaired": summary.rows.committed if summary is not None else 0,
        "erased": erased,
        "remaining": left.differences,
        "notes": tuple(notes),
        "error": fault,
        "state": RunState.SUCCEEDED if fault is None else RunState.FAILED,
    }
    return report.model_copy(update=update)


def _differ(report: VerifyReport) -> RunFault:
    parts = {name: getattr(report, name) for name in ("missing", "surplus", "different", "doubled")}
    counted = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    error = RowsDiffer(
        f"unit '{report.ref}': {counted} in sink '{report.sink_id}'",
        hint=f"ingest-ray verify {report.endpoint_id} {report.unit_id} --repair",
    )
    return RunFault(code=error.code, message=error.message, hint=error.hint)


def _report(order: RunOrder, state: RunState) -> VerifyReport:
    return VerifyReport(
        run_id=order.run_id,
        endpoint_id=order.spec.endpoint.endpoint_id,
        unit_id=order.spec.unit_id,
        sink_id=order.spec.config.sink_id,
        state=state,
    )
