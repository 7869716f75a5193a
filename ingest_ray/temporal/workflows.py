"""The workflows: they only call activities, wait and retry. Everything that can fail is in an activity."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from ingest_ray.payloads.contract import CATALOG, COMPARISON, ENDPOINT, PROGRESS, RUN
    from ingest_ray.payloads.documents import (
        NAMES_SHOWN,
        CatalogCommand,
        CatalogOutcome,
        ComparisonCommand,
        ComparisonOutcome,
        EndpointCommand,
        EndpointProgress,
        EndpointTally,
        RunCommand,
        RunEnd,
        RunFailure,
        RunOnly,
        RunProgress,
        RunRef,
        UnitOutcome,
        UnitsCommand,
        UnitsPage,
    )
    from ingest_ray.payloads.search_attributes import STATE, attributes_of
    from ingest_ray.sdk.types import RunState

UNLIMITED_RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
SHORT = timedelta(minutes=2)  # for activities that only read or write the catalog
LONGEST_RUN = timedelta(days=30)
HEARTBEAT_TIMEOUT = timedelta(seconds=30)  # of activities that query a source
INTERRUPTED = "E_RUN_INTERRUPTED"


@workflow.defn(name=RUN)
class IngestionRun:
    """Runs one unit into one sink. A cancellation lets the commit under way finish and leaves the rest for the next run."""

    def __init__(self) -> None:
        self._progress = RunProgress()

    @workflow.query(name=PROGRESS)
    def progress(self) -> RunProgress:
        return self._progress

    def _note(self, **update: str) -> None:
        self._progress = self._progress.model_copy(update=update)

    @workflow.run
    async def run(self, command: RunCommand) -> UnitOutcome:
        try:
            return await self._run(command)
        finally:
            self._note(phase="ended")

    async def _run(self, command: RunCommand) -> UnitOutcome:
        start = workflow.start_activity(
            "startIngestionRun",
            command,
            result_type=RunRef,
            start_to_close_timeout=SHORT,
            retry_policy=UNLIMITED_RETRIES,
        )
        try:
            ref = await asyncio.shield(start)
        except asyncio.CancelledError:  # the record may exist already: complete it
            await _complete_run((await start).run_id)
            raise
        self._note(phase="running", run_id=ref.run_id)
        try:
            outcome = await _run_unit(ref.run_id, command)
        except ActivityError as error:
            self._note(phase="ending")
            _show_state("PAUSED" if is_cancelled_exception(error) else "FAILED")
            if is_cancelled_exception(error):
                await asyncio.shield(_complete_run(ref.run_id))
                raise
            code, message, hint = cause_of(error)
            self._note(code=code)
            await asyncio.shield(_fail_run(RunFailure(run_id=ref.run_id, code=code, message=message, hint=hint)))
            raise ApplicationError(message, *([hint] if hint else []), type=code, non_retryable=True) from error
        self._note(phase="ending")
        _show_state(outcome.state.value)
        await asyncio.shield(_complete_run(ref.run_id))
        return outcome


def _show_state(state: str) -> None:
    """Only where the workflow was started with the attribute: its server knows it then, and older histories have no such command."""
    if workflow.info().typed_search_attributes.get(STATE) is not None:
        workflow.upsert_search_attributes([STATE.value_set(state)])


def _run_unit(run_id: str, command: RunCommand) -> Awaitable[UnitOutcome]:
    return workflow.execute_activity(
        "runIngestionUnit",
        RunOnly(run_id=run_id),
        result_type=UnitOutcome,
        start_to_close_timeout=LONGEST_RUN,
        heartbeat_timeout=timedelta(seconds=command.silence_s),
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=1),
            maximum_interval=timedelta(minutes=1),
            maximum_attempts=command.max_attempts,
        ),
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


async def _complete_run(run_id: str) -> RunEnd:
    end: RunEnd = await workflow.execute_activity(
        "completeIngestionRun",
        RunOnly(run_id=run_id),
        result_type=RunEnd,
        start_to_close_timeout=SHORT,
        retry_policy=UNLIMITED_RETRIES,
    )
    return end


async def _fail_run(failure: RunFailure) -> RunEnd:
    end: RunEnd = await workflow.execute_activity(
        "failIngestionRun", failure, result_type=RunEnd, start_to_close_timeout=SHORT, retry_policy=UNLIMITED_RETRIES
    )
    return end


def cause_of(error: BaseException) -> tuple[str, str, str | None]:
    """Code, message and hint of the innermost error with a code; without one, the process was interrupted."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ApplicationError) and cause.type:
            hint = cause.details[0] if cause.details and isinstance(cause.details[0], str) else None
            return cause.type, cause.message, hint
        last, cause = cause, cause.__cause__
    return INTERRUPTED, f"{type(last).__name__}: {last}"[:500], None


@workflow.defn(name=CATALOG)
class CatalogCollection:
    @workflow.run
    async def run(self, command: CatalogCommand) -> CatalogOutcome:
        done: CatalogOutcome = await workflow.execute_activity(
            "collectCatalogSnapshots",
            command,
            result_type=CatalogOutcome,
            start_to_close_timeout=timedelta(hours=6),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1), maximum_attempts=5),
        )
        return done


@workflow.defn(name=COMPARISON)
class UnitComparison:
    """Compares a unit with its sink. Fails where they differ; a cancellation lets the next one go on after the last block."""

    @workflow.run
    async def run(self, command: ComparisonCommand) -> ComparisonOutcome:
        outcome: ComparisonOutcome = await workflow.execute_activity(
            "compareUnit",
            command,
            result_type=ComparisonOutcome,
            start_to_close_timeout=LONGEST_RUN,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1), maximum_attempts=5),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        _show_state(outcome.state.value)
        if outcome.state is RunState.FAILED:
            raise ApplicationError(outcome.message or "", type=outcome.code or INTERRUPTED, non_retryable=True)
        return outcome


@workflow.defn(name=ENDPOINT)
class EndpointIngestion:
    """Runs all enabled units of an endpoint, at most `maxParallel` at once; a unit's failure stops no other unit.

    Continues as new after every `unitsPerHistory` units, so that its history stays short for large endpoints.
    """

    def __init__(self) -> None:
        self._units = 0
        self._before = EndpointTally()
        self._running: list[str] = []
        self._ends: dict[str, str] = {}

    @workflow.query(name=PROGRESS)
    def progress(self) -> EndpointProgress:
        tally = with_ends(self._before, self._ends)
        return EndpointProgress(units=self._units, running=tuple(self._running), tally=tally)

    @workflow.run
    async def run(self, command: EndpointCommand) -> EndpointTally:
        self._before = command.tally
        page = await workflow.execute_activity(
            "listEnabledUnits",
            UnitsCommand(endpoint_id=command.endpoint_id, after=command.after, limit=command.units_per_history),
            result_type=UnitsPage,
            start_to_close_timeout=SHORT,
            retry_policy=UNLIMITED_RETRIES,
        )
        self._units = len(page.unit_ids)
        slots = asyncio.Semaphore(command.max_parallel)
        ends = await asyncio.gather(*(self._run_unit(command, unit_id, slots) for unit_id in page.unit_ids))
        tally = with_ends(command.tally, dict(zip(page.unit_ids, ends, strict=True)))
        if not page.is_last:
            workflow.continue_as_new(command.model_copy(update={"after": page.unit_ids[-1], "tally": tally}))
        if tally.failed:
            total = tally.succeeded + tally.paused + tally.failed
            names = ", ".join(tally.failed_units)
            raise ApplicationError(
                f"{tally.failed} of {total} units failed: {names}"[:2_000],
                tally,
                type=tally.code or INTERRUPTED,
                non_retryable=True,
            )
        return tally

    async def _run_unit(self, command: EndpointCommand, unit_id: str, slots: asyncio.Semaphore) -> str:
        """Returns the final state of the unit's run, or the code of its error."""
        async with slots:
            self._running.append(unit_id)
            try:
                end = self._ends[unit_id] = await self._end_of(command, unit_id)
            finally:
                self._running.remove(unit_id)
        return end

    async def _end_of(self, command: EndpointCommand, unit_id: str) -> str:
        run = RunCommand(endpoint_id=command.endpoint_id, unit_id=unit_id, requested_by=command.requested_by)
        has_attributes = workflow.info().typed_search_attributes.get(STATE) is not None
        try:
            outcome: UnitOutcome = await workflow.execute_child_workflow(
                RUN,
                run,
                id=f"ingest:{run.ref}",
                result_type=UnitOutcome,
                parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
                cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
                search_attributes=attributes_of(run) if has_attributes else None,
            )
        except ChildWorkflowError as error:
            if is_cancelled_exception(error):
                raise
            return cause_of(error)[0]
        except WorkflowAlreadyStartedError:
            return "E_RUN_ACTIVE"
        return outcome.state.value


def with_ends(tally: EndpointTally, ends: dict[str, str]) -> EndpointTally:
    failed = {unit_id: end for unit_id, end in ends.items() if end.startswith("E_")}
    return EndpointTally(
        succeeded=tally.succeeded + sum(end == "SUCCEEDED" for end in ends.values()),
        paused=tally.paused + sum(end == "PAUSED" for end in ends.values()),
        failed=tally.failed + len(failed),
        failed_units=(*tally.failed_units, *failed)[:NAMES_SHOWN],
        code=tally.code or next(iter(failed.values()), None),
    )


ALL = [IngestionRun, CatalogCollection, UnitComparison, EndpointIngestion]
