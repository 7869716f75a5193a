"""The only writer of a unit's checkpoint: opens scopes, writes intents, folds commits.

begin           writes the intent under the new epoch first: from then on no process of an older epoch can record an intent
open_scopes     writes every segment that this run touches once under the new epoch, so that a process of an older epoch holds
                stale versions and cannot write any more
record_intent -> sink -> apply_commit
                after a crash, `recover` compares the intent with the sink's last number
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from ingest_ray.core.checkpoint import folded, opened, settled
from ingest_ray.core.messages import CommitClaim
from ingest_ray.kv.documents import encode
from ingest_ray.kv.keys import intent_key, segment_key
from ingest_ray.process.failpoints import reached
from ingest_ray.quarantine.rejected_rows import promote_rejected_rows
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import ConfigError, Fenced, TargetChanged
from ingest_ray.sdk.types import Island, Learned, LogHistory, Position, Scope, SegmentState
from ingest_ray.secrets.locations import quarantine_file
from ingest_ray.settings import Settings
from ingest_ray.state.commit_history import with_commit, with_past
from ingest_ray.state.documents import (
    ClaimDocument,
    FoldedCommit,
    IntentDocument,
    Owner,
    SegmentDocument,
    UnitDocument,
    dumped,
    parsed,
)
from ingest_ray.state.lease import Lease
from ingest_ray.state.returnable_state import ReturnableState
from ingest_ray.state.unit_state import forget_state

log = logging.getLogger(__name__)

TAKE_TRIES = 5  # a zombie process writes at most a few more documents before a write fails


class StateWriter(ReturnableState):
    """The state of one unit, held by one run. Every write is a compare-and-set; a conflict raises `Fenced`."""

    def __init__(self, kv: KV, unit_key: str, run_id: str, lease: Lease) -> None:
        super().__init__(kv, unit_key, run_id, lease)
        self.promote: Callable[[str], str | None] = promote_rejected_rows
        self.task = "ingest"
        """What the run is for; kept with its commits."""
        self.tables: tuple[str, ...] = ()
        """The names of the tables that this run writes, where they are several."""
        self._take()

    @classmethod
    def begin(
        cls,
        kv: KV,
        unit_key: str,
        run_id: str,
        owner: Owner,
        clock: Callable[[], float] = time.time,
        *,
        settings: Settings | None = None,
    ) -> "StateWriter":
        """Takes the lease and reads the state. `settings` have the options of the quarantine, where it is in an object store.

        Raises:
            RunActive: the unit has a live run.
            Fenced: a newer run has taken over meanwhile.
            StateUnreadable: a document of an unknown schema; the lease is released.
        """
        lease = Lease.acquire(kv, unit_key, run_id, owner, clock)
        try:
            state = cls(kv, unit_key, run_id, lease)
        except BaseException:
            lease.release()
            raise
        if settings is not None:
            state.promote = lambda uri: promote_rejected_rows(quarantine_file(uri, settings))
        return state

    def _take(self) -> None:
        """Takes the intent over, then reads everything; repeated when a zombie process wrote in between."""
        key = intent_key(self._unit_key)
        for _ in range(TAKE_TRIES):
            found = self._kv.get(key)
            old = parsed(IntentDocument, key, found[0]) if found else None
            if old is None:
                old = IntentDocument(epoch=self.epoch, sequence=0, run_id=self._run_id, is_settled=True, opened_by=0)
            self._refuse_newer(key, max(old.epoch, old.held_by))
            self._versions = {key: found[1]} if found else {}
            with suppress(Fenced):
                intent = old.model_copy(update={"held_by": self.epoch})
                self._put(key, intent)
                self._intent = None if intent.is_settled else intent
                self._last_intended = old.sequence
                self._opened_by = old.opened_by if old.opened_by is not None else max(old.held_by, old.epoch)
                self._load()
                if self._unit.returning is not None:
                    log.warning("this unit's checkpoint did not finish going back: finishing it")
                    self._finish_return(self._unit.returning)
                if not self._unit.is_resetting:
                    return
                self._finish_reset()
        raise Fenced(f"run {self._run_id}: state '{key}' is being written by another run")

    def _finish_reset(self) -> None:
        """Deletes what a reset that died has left; then everything is read again."""
        log.warning("a reset of this unit did not finish: finishing it")
        forget_state(self._kv, self._unit_key, self.lease)
        self._documents, self._intent = {}, None
        self._unit = UnitDocument(epoch=self.epoch, run_id=self._run_id)

    def recover(self, sink_sequence: int) -> str | None:
        """Settles an intent that an older run left: rolls it forward if the sink has it, drops it otherwise.

        Returns a sentence for the log. From here on numbers continue above every number that the sink has.
        """
        intent, done = self._intent, None
        if intent is not None and sink_sequence >= intent.sequence:
            self._fold(intent)
            done = f"commit {intent.sequence} of run {intent.run_id} was in the sink: rolled forward"
        elif intent is not None:
            self._settle(intent)
            done = f"commit {intent.sequence} of run {intent.run_id} was not in the sink: dropped"
        if sink_sequence > self._unit.sequence:
            self._put_unit(self._above_unknown(sink_sequence))
        return done

    def next_read_at(self, now_us: int) -> int:
        """When this run begins to read, in microseconds since 1970: later than every earlier run of the unit. Recorded with its first
        write."""
        self._read_at = max(now_us, self._unit.read_at + 1)
        if not self.is_new:
            self._put_unit(self._unit)
        return self._read_at

    def raise_epoch(self, above: int) -> None:
        """Takes an epoch above that of the sink. The scopes that this run has recorded go along: a whole commit completes those of its
        own epoch."""
        before = self.epoch
        self.lease.raise_epoch(above)
        for document in list(self._documents.values()):
            if document.epoch == before:
                self._put_segment_document(document.model_copy(update={"epoch": self.epoch}))

    def refuse_other_cursor(self, cursor: str | None) -> None:
        """Refuses a policy whose cursor is not the one that the watermarks belong to.

        Raises:
            ConfigError: the checkpoint follows another cursor.
        """
        known = self._unit.cursor
        if cursor is not None and known is not None and cursor != known:
            raise ConfigError(
                f"the checkpoint follows cursor '{known}', the policy says '{cursor}'",
                hint="set policy.cursor back, or forget the checkpoint with `ingest-ray reset` and load again",
            )

    def refuse_other_table(self, table: str | None) -> None:
        """Refuses a configuration whose table is not the one that has the rows of the checkpoint. Raises `TargetChanged`."""
        if self.segments or self.sequence:
            refuse_other_table(self._unit.table, table)

    def refuse_other_location(self, location: str | None) -> None:
        """Refuses a sink that is elsewhere than the one that has the rows of the checkpoint. Raises `TargetChanged`."""
        if self.segments or self.sequence:
            refuse_other_location(self._unit.location, location)

    def note_location(self, location: str | None) -> None:
        """Records where the rows of the checkpoint are; a checkpoint that does not exist yet gets it with its first scopes."""
        if location is not None and not self.is_new:
            self._put_unit(self._unit.model_copy(update={"location": location}))

    def open_scopes(
        self,
        planned: Sequence[Scope],
        *,
        is_target_empty: bool,
        cursor: str | None = None,
        table: str | None = None,
        layout: str = "",
        location: str | None = None,
    ) -> tuple[Scope, ...]:
        """Records the scopes of this run; returns the scopes to cut, with their committed islands."""
        out: list[Scope] = []
        by_segment: dict[str, list[Scope]] = {}
        for scope in planned:
            by_segment.setdefault(scope.segment, []).append(scope)
        update = {"epoch": self.epoch, "run_id": self._run_id, "cursor": cursor, "table": table, "layout": layout}
        located = {"location": location} if location is not None else {}
        self._put_unit(self._unit.model_copy(update=update | located))
        for segment, scopes in by_segment.items():
            state, merged = opened(self._state_of(segment), scopes, is_target_empty=is_target_empty)
            self._put_segment(state)
            out.extend(merged)
        return tuple(out)

    def record_intent(
        self, claims: Sequence[CommitClaim], *, is_whole: bool = False, quarantine_uris: Sequence[str] = ()
    ) -> int:
        """Records the commit that is about to happen; returns its number, which is above that of every intent before.

        An intent that is dropped, or whose prepared rows were lost, is followed by one of other slices. If the store then loses the
        later intent, the number in the sink shows that the earlier one is not what was committed.

        Raises:
            PayloadTooLarge: the checkpoint with this commit would have more islands than a document can hold. Nothing was
                committed; the next run fills the gaps first, and islands that touch merge.
        """
        self.lease.check()
        intent = IntentDocument(
            epoch=self.epoch,
            sequence=max(self._unit.sequence, self._last_intended) + 1,
            run_id=self._run_id,
            claims=tuple(
                ClaimDocument(segment=c.segment, scope_id=c.scope_id, rank=c.rank, interval=c.interval) for c in claims
            ),
            is_whole=is_whole,
            quarantine_uris=tuple(quarantine_uris),
            opened_by=self._opened_by,
            task=self.task,
        )
        for document in self._folds(intent):
            encode(segment_key(self._unit_key, document.state.segment), dumped(document))
        reached("state:before-intent")
        self._put(intent_key(self._unit_key), intent)
        self._intent, self._last_intended = intent, intent.sequence
        reached("state:after-intent")
        return intent.sequence

    def apply_commit(self, sequence: int) -> None:
        """Folds a commit that is in the sink into the checkpoint. Repeating it changes nothing."""
        if self._unit.sequence >= sequence:
            return
        if self._intent is None or self._intent.sequence != sequence:
            raise Fenced(f"commit {sequence} has no intent of run {self._run_id}: a newer run took over")
        self.lease.check()
        reached("state:before-fold")
        self._fold(self._intent)
        reached("state:after-fold")

    def skip_unchanged(self, until: Mapping[str, Position], history: LogHistory | None = None) -> None:
        """Moves watermarks over a part of the source's log without a change: there is nothing to commit. What an earlier run planned of
        the log and did not begin to commit is forgotten: the strategy did not plan it again, because it is not there."""
        for segment, position in until.items():
            state = self._state_of(segment)
            is_idle = all(scope.axis.kind == "log" and not scope.done for scope in state.scopes)
            if state.is_loaded and is_idle and state.watermark != position:
                update = {"watermark": position, "history": history or state.history, "scopes": ()}
                self._put_segment(state.model_copy(update=update))

    def learn(self, learned: Learned) -> None:
        if learned != self._unit.learned:
            self._put_unit(self._unit.model_copy(update={"learned": learned}))

    def end(self) -> None:
        self.lease.release()

    def _fold(self, intent: IntentDocument) -> None:
        """Folds segment by segment; each stores the number, so that a crash in between folds none of them twice.

        Quarantine files are promoted first: as long as the intent exists, a roll-forward repeats the promotion.
        """
        for uri in intent.quarantine_uris:
            if self.promote(uri) is None:
                log.warning("the rejected rows at '%s' are gone: they count as lost", uri)
        reached("state:after-promote")
        for document in self._folds(intent):
            self._put_segment_document(document)
            reached("state:between-segments")
        commit = FoldedCommit(sequence=intent.sequence, epoch=intent.epoch, task=intent.task)
        commits = with_commit(self._unit.commits, self._unit.sequence, commit)
        tables = self.tables or self._unit.tables
        update = {"sequence": intent.sequence, "claimed": None, "commits": commits, "tables": tables}
        self._put_unit(self._unit.model_copy(update=update))
        reached("state:before-clear")
        self._settle(intent)

    def _folds(self, intent: IntentDocument) -> Iterator[SegmentDocument]:
        """The segments that a commit changes, in their new state; segments that have the commit already are left out."""
        if intent.is_whole:
            for document in list(self._documents.values()):
                if document.epoch == intent.epoch and document.state.sequence < intent.sequence:
                    yield self._after_commit(whole(document.state), intent.sequence)
            return
        by_segment: dict[str, list[ClaimDocument]] = {}
        for claim in intent.claims:
            by_segment.setdefault(claim.segment, []).append(claim)
        for segment, claims in by_segment.items():
            state = self._state_of(segment)
            if state.sequence < intent.sequence:
                for claim in claims:
                    state = folded(state, claim.scope_id, claim.interval, claim.rank)
                yield self._after_commit(state, intent.sequence)

    def _after_commit(self, state: SegmentState, sequence: int) -> SegmentDocument:
        before = self._documents.get(state.segment)
        new = SegmentDocument(epoch=self.epoch, state=state.model_copy(update={"sequence": sequence}))
        return with_past(new, self._state_of(state.segment), before.past if before else "")


def whole(state: SegmentState) -> SegmentState:
    """The segment with every open scope complete."""
    scopes = tuple(
        scope.model_copy(update={"done": (Island(interval=scope.target, first_rank=(0,), last_rank=(0,)),)})
        for scope in state.scopes
    )
    return settled(state.model_copy(update={"scopes": scopes}))


def refuse_other_table(loaded: str | None, configured: str | None) -> None:
    """Raises `TargetChanged` where they differ. None: the sink's own name for the unit."""
    if loaded != configured:
        names = [f"'{name}'" if name else "its sink's own name" for name in (loaded, configured)]
        raise TargetChanged(
            f"the unit was loaded into a table named {names[0]}, and its rule says {names[1]} now",
            hint="set table: back; or forget the checkpoint with `ingest-ray reset` and load again: the old table stays as it is",
        )


def refuse_other_location(loaded: str, configured: str | None) -> None:
    """Raises `TargetChanged` where they differ. Empty and None: not known."""
    if loaded and configured is not None and loaded != configured:
        raise TargetChanged(
            f"the unit was loaded into the sink at '{loaded}', and the sink is at '{configured}' now",
            hint="where its tables were moved there: `ingest-ray apply --move`, and the checkpoint goes along; to load everything again "
            "there: `ingest-ray apply --reload`; or set the sink back",
        )
