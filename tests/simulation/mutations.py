"""Deliberate bugs in the production code, one at a time: the invariants must detect each of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.core import checkpoint, next_steps
from ingest_ray.core.ledger import Ledger
from ingest_ray.core.messages import Abort, Failed, Stage
from ingest_ray.sdk.contracts import SinkProgress
from ingest_ray.sdk.errors import LedgerMismatch, Recovery
from ingest_ray.sdk.types import Effect, Handle, Scope, SegmentState, Slice, Staged
from ingest_ray.sinks.history import plan
from ingest_ray.state import commit_history, returnable_state, unit_state, writer
from ingest_ray.state.documents import IntentDocument, parsed
from ingest_ray.state.lease import Lease
from ingest_ray.state.writer import StateWriter
from tests.simulation.databases.mutations import SINK_MUTATIONS, SOURCE_MUTATIONS
from tests.simulation.history import History
from tests.simulation.lakes.mutations import LAKE_MUTATIONS
from tests.simulation.logs.mutations import LOG_MUTATIONS
from tests.simulation.worlds import DATABASE, LAKE, LOG, PROTOCOL, SQL_SINK

Patch = Callable[[pytest.MonkeyPatch], None]
SHOWN_BY_FILE = Path(__file__).with_name("shown_by.json")
KNOWN_HISTORIES = 3  # of each bug: a change of the simulation rarely takes all of them, and a search through all histories takes a minute


def fold_before_commit(patch: pytest.MonkeyPatch) -> None:
    intend = StateWriter.record_intent

    def eager(self: StateWriter, *args: Any, **options: Any) -> int:
        number = intend(self, *args, **options)
        assert self._intent is not None
        self._fold(self._intent)
        return number

    patch.setattr(StateWriter, "record_intent", eager)


def roll_forward_without_asking(patch: pytest.MonkeyPatch) -> None:
    recover = StateWriter.recover
    patch.setattr(StateWriter, "recover", lambda self, sequence: recover(self, 10**9 if self.has_intent else sequence))


def drop_every_intent(patch: pytest.MonkeyPatch) -> None:
    recover = StateWriter.recover

    def forgetful(self: StateWriter, sequence: int) -> str | None:
        if self._intent is not None:
            self._settle(self._intent)
        return recover(self, sequence)

    patch.setattr(StateWriter, "recover", forgetful)


def intent_not_fenced(patch: pytest.MonkeyPatch) -> None:
    """A settled intent is deleted, and a run that begins writes none: an older run may create it."""

    def take(self: StateWriter) -> None:
        key = writer.intent_key(self._unit_key)
        found = self._kv.get(key)
        if found is not None:
            self._intent = parsed(IntentDocument, key, found[0])
            self._versions[key] = found[1]
        self._opened_by = 10**9  # otherwise the sink's epoch would show that the intent is of an older run
        self._load()

    def settle(self: StateWriter, intent: IntentDocument) -> None:
        key = writer.intent_key(self._unit_key)
        self._kv.delete(key, self._versions.pop(key))
        self._intent = None

    patch.setattr(StateWriter, "_take", take)
    patch.setattr(StateWriter, "_settle", settle)
    patch.setattr(StateWriter, "_refuse_newer", lambda self, key, epoch: None)


def last_write_wins(patch: pytest.MonkeyPatch) -> None:
    put = StateWriter._put

    def careless(self: StateWriter, key: str, document: Any) -> None:
        found = self._kv.get(key)
        self._versions[key] = found[1] if found else 0
        put(self, key, document)

    patch.setattr(StateWriter, "_put", careless)


def epoch_does_not_grow(patch: pytest.MonkeyPatch) -> None:
    acquire = Lease.acquire.__func__  # type: ignore[attr-defined]

    def same(cls: type[Lease], *args: Any) -> Lease:
        lease: Lease = acquire(cls, *args)
        lease._document = lease._document.model_copy(update={"epoch": 1})
        return lease

    patch.setattr(Lease, "acquire", classmethod(same))


def lookback_dropped(patch: pytest.MonkeyPatch) -> None:
    opened = writer.opened

    def short(state: SegmentState, planned: Sequence[Scope], **options: Any) -> Any:
        return opened(state, [scope for scope in planned if scope.effect is not Effect.REPEAT], **options)

    patch.setattr(writer, "opened", short)


def watermark_beyond_the_first_horizon(patch: pytest.MonkeyPatch) -> None:
    settled = checkpoint.settled

    def late(state: SegmentState) -> SegmentState:
        moved = settled(state)
        if moved.is_loaded and not state.is_loaded and moved.watermark is not None:
            return moved.model_copy(update={"watermark": (int(moved.watermark[0]) + 4,)})
        return moved

    patch.setattr(checkpoint, "settled", late)


def early_stop_taken_for_the_end(patch: pytest.MonkeyPatch) -> None:
    staged = Ledger._on_staged
    patch.setattr(
        Ledger,
        "_on_staged",
        lambda self, piece, attempt, what: staged(
            self, piece, attempt, what.model_copy(update={"is_complete": True, "covered": piece.interval})
        ),
    )


def lost_answer_taken_for_a_failure(patch: pytest.MonkeyPatch) -> None:
    """The slices of a commit whose answer was lost go into another group, which gets the same number."""
    again = Ledger._retry_stage

    def regrouped(self: Ledger, stage: Stage, fault: Any) -> list[Any]:
        if stage is not Stage.COMMIT or fault.recovery is not Recovery.ASK_SINK:
            return again(self, stage, fault)
        self._table.ready |= {work.name: work for work in self._current_group().slice_runs}
        self._group = None
        return []

    patch.setattr(Ledger, "_retry_stage", regrouped)


def failed_commit_is_aborted(patch: pytest.MonkeyPatch) -> None:
    def leave(self: Ledger) -> list[Any]:
        self._group = None  # its works stay, so that the end aborts what may be in the sink
        return []

    patch.setattr(Ledger, "_abandon_group", leave)


def planning_failure_leaves_the_commit(patch: pytest.MonkeyPatch) -> None:
    failed = Ledger._on_failed

    def careless(self: Ledger, event: Failed) -> list[Any]:
        if event.stage is Stage.PLAN and event.piece is None and event.fault.recovery.value == "fail":
            self._abandon_group()
        return failed(self, event)

    patch.setattr(Ledger, "_on_failed", careless)


def plan_that_broke_off_is_asked_for_more(patch: pytest.MonkeyPatch) -> None:
    failed = Ledger._on_plan_failed

    def going_on(self: Ledger, event: Failed) -> list[Any]:
        if event.piece is not None or event.fault.recovery is not Recovery.RETRY:
            return failed(self, event)
        self._is_planning = False
        return []

    patch.setattr(Ledger, "_on_plan_failed", going_on)


def lost_answer_taken_for_a_loss(patch: pytest.MonkeyPatch) -> None:
    """The slices of a commit whose answer was lost are read again, and go into another group of the same number."""
    again = Ledger._retry_stage

    def rereading(self: Ledger, stage: Stage, fault: Any) -> list[Any]:
        if stage is not Stage.COMMIT or fault.recovery is not Recovery.ASK_SINK:
            return again(self, stage, fault)
        return self._on_prepared_lost(fault)

    patch.setattr(Ledger, "_retry_stage", rereading)


def claims_without_their_rank(patch: pytest.MonkeyPatch) -> None:
    claim = next_steps.claim_of
    patch.setattr(next_steps, "claim_of", lambda work: replace(claim(work), rank=(claim(work).rank[0],)))


def lost_writes_of_the_state_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StateWriter, "has_lost", lambda self, epoch, sequence: False)


def inserts_go_on_after_lost_writes(patch: pytest.MonkeyPatch) -> None:
    def careless(self: StateWriter, sequence: int) -> None:
        self.drop_intent()
        self._put_unit(self._unit.model_copy(update={"sequence": sequence}))

    patch.setattr(StateWriter, "accept_loss", careless)


def restored_sink_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SinkProgress, "is_behind", lambda self, sequence, committed_by: False)


def going_back_too_far_or_not_far_enough(patch: pytest.MonkeyPatch) -> None:
    """A segment goes back to its oldest state, or stays, instead of to that of the sink's commit."""

    def oldest(document: Any, sequence: int) -> Any:
        past = commit_history.unpacked(document.past)
        if document.state.sequence <= sequence or not past:
            return document
        return document.model_copy(update={"state": past[0], "past": ""})

    patch.setattr(returnable_state, "segment_at", oldest)


def reset_that_died_is_not_finished(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(unit_state, "_mark_as_resetting", lambda *_: None)


def lost_quarantine_file_stops_the_fold(patch: pytest.MonkeyPatch) -> None:
    fold = StateWriter._fold

    def strict(self: StateWriter, intent: IntentDocument) -> None:
        if any(self.promote(uri) is None for uri in intent.quarantine_uris):
            raise LedgerMismatch("a quarantine file is gone")
        fold(self, intent)

    patch.setattr(StateWriter, "_fold", strict)


def number_of_a_dropped_intent_used_again(patch: pytest.MonkeyPatch) -> None:
    intend = StateWriter.record_intent

    def thrifty(self: StateWriter, *args: Any, **options: Any) -> int:
        self._last_intended = 0
        return intend(self, *args, **options)

    patch.setattr(StateWriter, "record_intent", thrifty)


def adopted_files_are_dropped_like_pages(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Handle, "is_adopted", False)


def files_are_staged_before_the_table_is_open(patch: pytest.MonkeyPatch) -> None:
    reads = Ledger._next_reads

    def eager(self: Ledger) -> list[Any]:
        sink, self._sink = self._sink, "open"
        out = reads(self)
        self._sink = sink
        return out

    patch.setattr(Ledger, "_next_reads", eager)


def late_report_of_adopted_files_is_aborted(patch: pytest.MonkeyPatch) -> None:
    """A report that comes twice, or late, may be of files that a commit has named since."""
    staged = Ledger._on_staged

    def tidy(self: Ledger, piece: Slice, attempt: int, what: Staged) -> list[Any]:
        is_late = piece.slice_id not in self._table.started
        aborted = [Abort((what.prepared,))] if is_late and what.prepared is not None else []
        return aborted or staged(self, piece, attempt, what)

    patch.setattr(Ledger, "_on_staged", tidy)


def repeated_version_of_a_history_opens_a_row(patch: pytest.MonkeyPatch) -> None:
    def take(self: plan._Timeline, row: plan.HistoryRow) -> None:
        self._open(row, self._position(row.version))

    patch.setattr(plan._Timeline, "take", take)


PROTOCOL_MUTATIONS: Sequence[Patch] = (
    fold_before_commit,
    roll_forward_without_asking,
    drop_every_intent,
    intent_not_fenced,
    last_write_wins,
    epoch_does_not_grow,
    lookback_dropped,
    watermark_beyond_the_first_horizon,
    early_stop_taken_for_the_end,
    lost_answer_taken_for_a_failure,
    failed_commit_is_aborted,
    planning_failure_leaves_the_commit,
    plan_that_broke_off_is_asked_for_more,
    lost_answer_taken_for_a_loss,
    claims_without_their_rank,
    lost_writes_of_the_state_not_noticed,
    inserts_go_on_after_lost_writes,
    restored_sink_not_noticed,
    going_back_too_far_or_not_far_enough,
    reset_that_died_is_not_finished,
    lost_quarantine_file_stops_the_fold,
    number_of_a_dropped_intent_used_again,
    adopted_files_are_dropped_like_pages,
    files_are_staged_before_the_table_is_open,
    late_report_of_adopted_files_is_aborted,
    repeated_version_of_a_history_opens_a_row,
)
MUTATIONS: Mapping[str, tuple[str, Patch]] = {
    patch.__name__: (world, patch)
    for world, patches in (
        (PROTOCOL, PROTOCOL_MUTATIONS),
        (DATABASE, SOURCE_MUTATIONS),
        (SQL_SINK, SINK_MUTATIONS),
        (LOG, LOG_MUTATIONS),
        (LAKE, LAKE_MUTATIONS),
    )
    for patch in patches
}
"""Each with the world in whose histories it shows."""


@contextmanager
def mutated(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        MUTATIONS[name][1](patch)
        yield


def violations(name: str, seeds: Iterable[int]) -> Iterator[int]:
    """The histories in which the judge detects the bug."""
    with mutated(name):
        for seed in seeds:
            if History(seed, MUTATIONS[name][0]).play().violation:
                yield seed


def first_violation(name: str, seeds: Iterable[int]) -> int | None:
    """None: none of them shows it."""
    return next(violations(name, seeds), None)
