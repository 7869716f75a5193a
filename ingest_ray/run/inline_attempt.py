"""One attempt of a run in the calling process: the executor is inline, or threads around it."""

from ingest_ray.core.ledger import Ledger
from ingest_ray.engine.coordinator import Coordinator
from ingest_ray.engine.steps.adoption import adopter_of
from ingest_ray.engine.steps.planner import Planner, PlanSummary
from ingest_ray.engine.steps.recovery import open_scopes
from ingest_ray.engine.steps.unit_writer import TableWriter, writer_for
from ingest_ray.executors.inline import InlineExecutor
from ingest_ray.executors.threads import ThreadedExecutor
from ingest_ray.run.context import AttemptResult, RunContext
from ingest_ray.run.limits import limits_of
from ingest_ray.run.placement import OutgrownPlan, inline_readers
from ingest_ray.run.staging_area import begin_staging, end_staging, staging_for
from ingest_ray.state.writer import StateWriter


def run_inline(context: RunContext, state: StateWriter, planner: Planner, plan_summary: PlanSummary) -> AttemptResult:
    """A plan of unknown size that outgrows this process is stopped as by a person: its commit under way is finished."""
    order, reporter = context.order, context.reporter
    staging = staging_for(order)
    begin_staging(order, staging)
    unit_writer = writer_for(order, staging)
    planner.open(context.retry(lambda: open_scopes(order, state, unit_writer, plan_summary.scopes)))
    readers = inline_readers(order, plan_summary)
    preparers = max(1, readers // 2)
    adopter = adopter_of(order, unit_writer.sink if isinstance(unit_writer, TableWriter) else None)
    adopts_files = adopter is not None and adopter.may_adopt(plan_summary.scopes)
    limits = limits_of(
        order, plan_summary.scopes, readers=readers, preparers=preparers, mappers=1, adopts_files=adopts_files
    )
    ledger = Ledger(limits)
    in_this_thread = (context.is_stopping, reporter.report) if readers == 1 else ()
    inline = InlineExecutor(order, planner, unit_writer, state, staging, adopter, *in_this_thread)
    executor = ThreadedExecutor(inline, readers + preparers + 1) if readers > 1 else inline
    coordinator = Coordinator(ledger, executor)
    plan_size = OutgrownPlan(order, plan_summary, ledger)
    reporter.begin_attempt(ledger, plan_summary, executor)
    try:
        finish = coordinator.drive(reporter.report, lambda: context.is_stopping() or plan_size.check())
    finally:
        executor.close()
        reporter.end_attempt(coordinator.seconds | executor.seconds, coordinator.points)
        end_staging(order, staging, is_complete=ledger.is_succeeded)
    state.learn(reporter.learned(state.learned))
    if plan_size.is_outgrown and not (ledger.is_succeeded or ledger.is_halted or context.is_stopping()):
        return AttemptResult(finish.state, is_outgrown=True)
    return AttemptResult(finish.state, planner.explained(finish.fault), finish.is_restartable)
