"""Before the first slice: settles the intent of the last run, and records the scopes that this run will read."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ingest_ray.engine.masking.layout import layout_of
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import followed_cursor
from ingest_ray.engine.steps.unit_writer import FileSweeper, UnitWriter
from ingest_ray.sdk.contracts import SinkProgress
from ingest_ray.sdk.errors import Fenced, HistoryTooShort, IngestError, SinkBehindState, StateBehindSink
from ingest_ray.sdk.types import Effect, RunMode, Scope, WriteMode
from ingest_ray.secrets.locations import sink_location
from ingest_ray.state.commit_history import last_common_commit, left_out_numbers
from ingest_ray.state.documents import FoldedCommit
from ingest_ray.state.writer import StateWriter

log = logging.getLogger(__name__)


def check_sink(state: StateWriter, unit_writer: UnitWriter) -> None:
    """Compares the sink's number and epoch with the state before the run opens the sink: one request, at most once per run.

    A state that lost acknowledged writes (a restored backup, a new home) goes on above the sink's commits where their rows are
    merged. Its run takes an epoch above the sink's. That fences a run of the lost time that may still be alive.

    Raises:
        StateBehindSink: the sink has commits that the state does not know, and the unit appends.
        SinkBehindState: the sink does not have commits that the state has.
        Fenced: a newer run took over.
    """
    if state.is_sink_checked:
        return
    progress = read_sink(state, unit_writer)
    if progress is None:  # the sink has no such capability: only its number is compared when it is opened
        return
    is_replaced = unit_writer.write is WriteMode.REPLACE
    if not is_replaced and state.task != "repair":  # a repair brings what the sink does not have
        refuse_sink_behind(state, progress, unit_writer.location)
    if state.has_lost(progress.epoch, progress.sequence):
        if unit_writer.write is not WriteMode.APPEND:
            _accept_loss(state, progress.sequence)
        elif state.sequence:
            raise state_behind_sink(state, unit_writer, progress.sequence)
        else:  # nothing was committed yet, as far as the state knows: allowed where the target is empty
            state.drop_intent()
    _take_epoch_above(state, progress)
    state.is_sink_checked = True


def read_sink(state: StateWriter, unit_writer: UnitWriter) -> SinkProgress | None:
    """The progress of those tables of the unit that have commits, as far as the state knows; None where the sink cannot tell."""
    progress = unit_writer.read_progress()
    if progress is None:
        return None
    state.tables = tuple(name for name, _ in progress.tables)
    return progress.of_tables(state.unit.tables)


def _take_epoch_above(state: StateWriter, progress: SinkProgress) -> None:
    if progress.epoch >= state.epoch:
        state.raise_epoch(progress.epoch)
        log.warning("the sink has epoch %d: going on as epoch %d", progress.epoch, state.epoch)


def open_sink_for(state: StateWriter, unit_writer: UnitWriter) -> int:
    """Opens the target under the run's epoch and settles an intent that an older run left; returns the sink's last number.

    Raises:
        Fenced: a newer run took over.
        StateBehindSink, SinkBehindState: as `check_sink`.
    """
    check_sink(state, unit_writer)
    state.note_opening()
    try:
        sequence = unit_writer.open(state.epoch)
    except Fenced as error:
        if not state.is_new or error.newer_epoch is None:
            raise
        state.raise_epoch(error.newer_epoch)
        log.warning("state is new, sink has epoch %d: going on as epoch %d", error.newer_epoch, state.epoch)
        state.note_opening()
        sequence = unit_writer.open(state.epoch)
    if state.has_lost(state.epoch, sequence):
        if unit_writer.write is WriteMode.APPEND and (state.sequence or not unit_writer.is_empty()):
            raise state_behind_sink(state, unit_writer, sequence)
        _accept_loss(state, sequence)
    done = state.recover(sequence)
    if done is not None:
        log.warning("%s", done)
    _sweep_lost_run(state, unit_writer)
    return sequence


def _sweep_lost_run(state: StateWriter, unit_writer: UnitWriter) -> None:
    """Removes what readers of a run that was killed staged in the sink. A failure is logged only: such files are in no table."""
    run_id, state.lease.lost_run = state.lease.lost_run, None
    if run_id is None or not isinstance(unit_writer, FileSweeper):
        return
    try:
        swept = unit_writer.sweep_files(run_id)
    except IngestError as error:
        log.warning("files that run %s staged could not be swept: %s", run_id, error.message)
        return
    if swept:
        log.info("%d files that run %s staged and did not commit are swept", swept, run_id)


def refuse_sink_behind(state: StateWriter, progress: SinkProgress, location: str) -> None:
    """Raises `SinkBehindState` where the sink does not have the last commit that the state has."""
    sequence, committed_by = state.claimed_against(progress.sequence), state.committed_by
    if not progress.is_behind(sequence, committed_by):
        return
    if not progress.exists:
        has = "does not exist"
    elif behind := [name for name, rows in progress.tables if name in state.unit.tables and rows < sequence]:
        has = f"has {f'only commit {progress.rows_of}' if progress.rows_of else 'no commit'} in the table of {', '.join(behind)}"
    elif progress.rows_of < sequence:
        has = f"has only commit {progress.rows_of}"
    else:
        has = f"has another commit {progress.sequence}, of epoch {progress.epoch} or before instead of epoch {committed_by}"
    raise SinkBehindState(
        f"the state has commit {sequence} of this unit, but its target '{location}' {has}: it was restored from an earlier "
        "copy, deleted, or is another one",
        hint="bring back the newer target; or go back to what the target has with `ingest-ray reset ENDPOINT UNIT --to-sink`; or "
        "forget the checkpoint with `ingest-ray reset` and load again",
    )


@dataclass(frozen=True)
class ReturnedState:
    """The commits that the state had and has, and those in between; `is_changed` False: the sink has all of them."""

    before: int
    sequence: int
    forgotten: tuple[FoldedCommit, ...] = ()
    is_changed: bool = True


def return_to_sink(state: StateWriter, unit_writer: UnitWriter, progress: SinkProgress) -> ReturnedState:
    """Moves the state back to the commits that the sink has, so that the next run reads what is missing. Repeating it changes nothing.

    Raises:
        HistoryTooShort: the state does not keep what it was at that commit; nothing was changed.
        StateBehindSink: the sink has other commits beside, and the unit appends; nothing was changed.
    """
    before, unit = state.claimed_against(progress.sequence), state.unit
    _take_epoch_above(state, progress)
    if not progress.is_behind(before, state.committed_by):
        return ReturnedState(before, before, is_changed=False)
    is_other = progress.epoch < state.committed_by or progress.rows_of in left_out_numbers(unit)
    has_other_commits = is_other and progress.sequence > 0
    try:
        to = last_common_commit(unit, progress.epoch, progress.rows_of)
        if to < progress.rows_of and has_other_commits and unit_writer.write is WriteMode.APPEND:
            raise state_behind_sink(state, unit_writer, progress.sequence)
        state.return_to(to, to if progress.restored_to is None else progress.sequence)
    except HistoryTooShort as error:
        raise HistoryTooShort(
            f"the target '{unit_writer.location}' has the rows of commit {progress.rows_of}, the state those of {before}, and it "
            f"cannot go back that far: {error.message}",
            hint="compare and repair with `ingest-ray verify ENDPOINT UNIT --repair`; or forget the checkpoint with "
            "`ingest-ray reset`, empty the target, and load again",
        ) from error
    if (
        progress.exists
    ):  # opened under a newer epoch: runs of the lost time are fenced, and the restored version is accepted
        state.note_opening()
        unit_writer.open(state.epoch)
    forgotten = tuple(commit for commit in unit.commits if commit.sequence > to and not commit.is_left_out)
    return ReturnedState(before, to, forgotten)


def state_behind_sink(state: StateWriter, unit_writer: UnitWriter, sink_sequence: int) -> StateBehindSink:
    return StateBehindSink(
        f"the target '{unit_writer.location}' has commit {sink_sequence} of this unit, the state knows commits up to "
        f"{state.sequence}: it was reset, restored from an earlier copy, or is a new one. The unit appends: reading these rows "
        "again would double them",
        hint="bring back the newer state; or forget the checkpoint with `ingest-ray reset`, empty the target, and run again",
    )


def _accept_loss(state: StateWriter, sink_sequence: int) -> None:
    if state.segments:
        log.warning(
            "the sink has commit %d, the state knows commits up to %d: the state has lost writes; rows are read again and merged",
            sink_sequence,
            state.sequence,
        )
    state.accept_loss(sink_sequence)


def open_scopes(
    order: RunOrder, state: StateWriter, unit_writer: UnitWriter, planned: Sequence[Scope]
) -> tuple[Scope, ...]:
    """Records the planned scopes, and decides once, when a generation begins, whether a load may insert without a merge.

    The scopes of a backfill and of a replay are not recorded, so the recorded ones stay as they are.
    """
    check_sink(state, unit_writer)  # before scopes are recorded, because it may raise the run's epoch
    if order.task != "ingest":
        return tuple(planned)
    may_insert = any(scope.effect is Effect.LOAD and scope.is_insert_only for scope in planned)
    cursor = followed_cursor(order.spec) if order.spec.config.run_mode is not RunMode.FULL else None
    return state.open_scopes(
        planned,
        is_target_empty=may_insert and _is_target_empty(state, unit_writer),
        cursor=cursor,
        table=order.spec.config.table,
        layout=layout_of(order.spec.config, order.settings),
        location=sink_location(order.sink, order.settings),
    )


def _is_target_empty(state: StateWriter, unit_writer: UnitWriter) -> bool:
    """Opens the sink first, which fences older epochs: otherwise a late commit of an older run could land after the check."""
    open_sink_for(state, unit_writer)
    return unit_writer.is_empty()
