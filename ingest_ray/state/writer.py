"""The only writer of a unit's checkpoint: opens scopes, writes intents, folds commits.

begin           writes the intent under the new epoch first: from then on no process of an older epoch can record an intent
open_scopes     writes every segment that this run touches once under the new epoch, so that a process of an older epoch holds
                stale versions and cannot write any more
record_intent -> sink -> apply_commit
                after a crash, `recover` compares the intent with the sink's last number
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from ingest_ray.core.checkpoint import folded, opened, settled
from ingest_ray.core.messages import CommitClaim
from ingest_ray.kv.documents import encode
from ingest_ray.kv.keys import intent_key, segment_key, segment_prefix
from ingest_ray.process.failpoints import reached
from ingest_ray.quarantine.rejected_rows import promote_rejected_rows
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import ConfigError, Fenced, StateConflict
from ingest_ray.sdk.types import Island, Learned, Model, Position, Scope, SegmentState
from ingest_ray.state.documents import (
    ClaimDocument,
    IntentDocument,
    Owner,
    SegmentDocument,
    UnitDocument,
    dumped,
    parsed,
)
from ingest_ray.state.lease import Lease

TAKE_TRIES = 5  # a zombie process writes at most a few more documents before a write fails


class StateWriter:
    """The state of one unit, held by one run. Every write is a compare-and-set; a conflict raises `Fenced`."""

    def __init__(self, kv: KV, unit_key: str, run_id: str, lease: Lease) -> None:
        self._kv = kv
        self._unit_key = unit_key
        self._run_id = run_id
        self.lease = lease
        self._versions: dict[str, int] = {}
        self._segments: dict[str, SegmentState] = {}
        self._epochs: dict[str, int] = {}
        self._unit = UnitDocument(epoch=lease.epoch, run_id=run_id)
        self._intent: IntentDocument | None = None
        self._take()

    @classmethod
    def begin(
        cls, kv: KV, unit_key: str, run_id: str, owner: Owner, clock: Callable[[], float] = time.time
    ) -> "StateWriter":
        """Takes the lease and reads the state.

        Raises:
            RunActive: the unit has a live run.
            Fenced: a newer run has taken over meanwhile.
            StateUnreadable: a document of an unknown schema; the lease is released.
        """
        lease = Lease.acquire(kv, unit_key, run_id, owner, clock)
        try:
            return cls(kv, unit_key, run_id, lease)
        except BaseException:
            lease.release()
            raise

    def _take(self) -> None:
        """Takes the intent over, then reads everything; repeated when a zombie process wrote in between."""
        key = intent_key(self._unit_key)
        for _ in range(TAKE_TRIES):
            found = self._kv.get(key)
            old = parsed(IntentDocument, key, found[0]) if found else None
            if old is None:
                old = IntentDocument(epoch=self.epoch, sequence=0, run_id=self._run_id, is_settled=True)
            self._refuse_newer(key, max(old.epoch, old.held_by))
            self._versions = {key: found[1]} if found else {}
            with suppress(Fenced):
                intent = old.model_copy(update={"held_by": self.epoch})
                self._put(key, intent)
                self._intent = None if intent.is_settled else intent
                return self._load()
        raise Fenced(f"run {self._run_id}: state '{key}' is being written by another run")

    def _refuse_newer(self, key: str, epoch: int) -> None:
        if epoch > self.epoch:
            raise Fenced(f"run {self._run_id}: state '{key}' was written by a newer run", newer_epoch=epoch)

    def _load(self) -> None:
        found = self._kv.get(self._unit_key)
        self.is_new = found is None
        if found is not None:
            self._unit = parsed(UnitDocument, self._unit_key, found[0])
            self._refuse_newer(self._unit_key, self._unit.epoch)
            self._versions[self._unit_key] = found[1]
        for key, value, version in self._kv.scan(segment_prefix(self._unit_key)):
            document = parsed(SegmentDocument, key, value)
            self._refuse_newer(key, document.epoch)
            self._segments[document.state.segment] = document.state
            self._epochs[document.state.segment] = document.epoch
            self._versions[key] = version

    @property
    def epoch(self) -> int:
        return self.lease.epoch

    @property
    def sequence(self) -> int:
        return self._unit.sequence

    @property
    def learned(self) -> Learned:
        return self._unit.learned

    @property
    def segments(self) -> Mapping[str, SegmentState]:
        return self._segments

    @property
    def has_intent(self) -> bool:
        return self._intent is not None

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
            self._put_unit(self._unit.model_copy(update={"sequence": sink_sequence}))
        return done

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

    def open_scopes(
        self, planned: Sequence[Scope], *, is_target_empty: bool, cursor: str | None = None
    ) -> tuple[Scope, ...]:
        """Records the scopes of this run; returns the scopes to cut, with their committed islands."""
        out: list[Scope] = []
        by_segment: dict[str, list[Scope]] = {}
        for scope in planned:
            by_segment.setdefault(scope.segment, []).append(scope)
        self._put_unit(self._unit.model_copy(update={"epoch": self.epoch, "run_id": self._run_id, "cursor": cursor}))
        for segment, scopes in by_segment.items():
            state = self._segments.get(segment, SegmentState(segment=segment))
            state, merged = opened(state, scopes, is_target_empty=is_target_empty)
            self._put_segment(state)
            out.extend(merged)
        return tuple(out)

    def record_intent(
        self, claims: Sequence[CommitClaim], *, is_whole: bool = False, quarantine_uris: Sequence[str] = ()
    ) -> int:
        """Records the commit that is about to happen; returns its number.

        Raises:
            PayloadTooLarge: the checkpoint with this commit would have more islands than a document can hold. Nothing was
                committed; the next run fills the gaps first, and islands that touch merge.
        """
        self.lease.check()
        intent = IntentDocument(
            epoch=self.epoch,
            sequence=self._unit.sequence + 1,
            run_id=self._run_id,
            claims=tuple(
                ClaimDocument(segment=c.segment, scope_id=c.scope_id, rank=c.rank, interval=c.interval) for c in claims
            ),
            is_whole=is_whole,
            quarantine_uris=tuple(quarantine_uris),
        )
        for segment, state in self._folds(intent):
            encode(segment_key(self._unit_key, segment), dumped(SegmentDocument(epoch=self.epoch, state=state)))
        reached("state:before-intent")
        self._put(intent_key(self._unit_key), intent)
        self._intent = intent
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

    def set_watermarks(self, watermarks: Mapping[str, Position], cursor: str | None) -> None:
        """Sets watermarks by hand: the segments count as loaded up to them; unfinished scopes are dropped."""
        self._put_unit(self._unit.model_copy(update={"epoch": self.epoch, "run_id": self._run_id, "cursor": cursor}))
        for segment, position in watermarks.items():
            state = self._segments.get(segment, SegmentState(segment=segment))
            self._put_segment(state.model_copy(update={"watermark": position, "is_loaded": True, "scopes": ()}))

    def learn(self, learned: Learned) -> None:
        if learned != self._unit.learned:
            self._put_unit(self._unit.model_copy(update={"learned": learned}))

    def end(self) -> None:
        self.lease.release()

    # --- writes

    def _fold(self, intent: IntentDocument) -> None:
        """Folds segment by segment; each stores the number, so that a crash in between folds none of them twice.

        Quarantine files are promoted first: as long as the intent exists, a roll-forward repeats the promotion.
        """
        for uri in intent.quarantine_uris:
            promote_rejected_rows(uri)
        reached("state:after-promote")
        for _, state in self._folds(intent):
            self._put_segment(state)
            reached("state:between-segments")
        self._put_unit(self._unit.model_copy(update={"sequence": intent.sequence}))
        reached("state:before-clear")
        self._settle(intent)

    def _folds(self, intent: IntentDocument) -> Iterator[tuple[str, SegmentState]]:
        """The segments that a commit changes, in their new state; segments that have the commit already are left out."""
        if intent.is_whole:
            for segment, state in list(self._segments.items()):
                if self._epochs[segment] == intent.epoch and state.sequence < intent.sequence:
                    yield segment, whole(state).model_copy(update={"sequence": intent.sequence})
            return
        by_segment: dict[str, list[ClaimDocument]] = {}
        for claim in intent.claims:
            by_segment.setdefault(claim.segment, []).append(claim)
        for segment, claims in by_segment.items():
            state = self._segments.get(segment, SegmentState(segment=segment))
            if state.sequence < intent.sequence:
                for claim in claims:
                    state = folded(state, claim.scope_id, claim.interval, claim.rank)
                yield segment, state.model_copy(update={"sequence": intent.sequence})

    def _settle(self, intent: IntentDocument) -> None:
        settled_one = IntentDocument(epoch=self.epoch, sequence=intent.sequence, run_id=self._run_id, is_settled=True)
        self._put(intent_key(self._unit_key), settled_one)
        self._intent = None

    def _put_unit(self, unit: UnitDocument) -> None:
        if unit == self._unit and self._unit_key in self._versions:
            return
        self._put(self._unit_key, unit)
        self._unit = unit

    def _put_segment(self, state: SegmentState) -> None:
        self._put(segment_key(self._unit_key, state.segment), SegmentDocument(epoch=self.epoch, state=state))
        self._segments[state.segment] = state
        self._epochs[state.segment] = self.epoch

    def _put(self, key: str, document: Model) -> None:
        value = dumped(document)
        try:
            self._versions[key] = self._kv.put(key, value, self._versions.get(key, 0))
        except StateConflict as error:
            found = self._kv.get(key)
            if found is None or found[0] != value:
                raise Fenced(f"run {self._run_id}: state '{key}' was written by a newer run") from error
            self._versions[key] = found[1]  # an earlier write of this run, whose result was lost


def whole(state: SegmentState) -> SegmentState:
    """The segment with every open scope complete."""
    scopes = tuple(
        scope.model_copy(update={"done": (Island(interval=scope.target, first_rank=(0,), last_rank=(0,)),)})
        for scope in state.scopes
    )
    return settled(state.model_copy(update={"scopes": scopes}))
