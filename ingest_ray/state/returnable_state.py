"""Goes on from a state and a sink that do not agree, and returns to an earlier state: what was lost is read again, and merged."""

from collections.abc import Mapping

from ingest_ray.kv.keys import intent_key
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.types import Position, SegmentState
from ingest_ray.state.commit_history import refuse_unknown_past, segment_at
from ingest_ray.state.documents import Return, UnitDocument
from ingest_ray.state.unit_documents import UnitDocuments


class ReturnableState(UnitDocuments):
    def has_lost(self, sink_epoch: int, sink_sequence: int) -> bool:
        """True where the sink has commits that this state does not know: acknowledged writes of the state were lost.

        The sink may be one commit ahead, whose intent is still open. That the intent is of the commit that the sink has under
        this number is certain only as long as no unknown run has opened the sink.
        """
        if sink_sequence <= self._unit.sequence:
            return False
        is_of_intent = self._intent is not None and self._intent.sequence == sink_sequence
        return not is_of_intent or sink_epoch > self._opened_by

    def note_opening(self) -> None:
        """Records that this run opens the sink under its epoch: an epoch above the recorded one shows later that writes were lost."""
        if self._opened_by >= self.epoch:
            return
        key, epoch = intent_key(self._unit_key), self.epoch
        found = self._intent or self._settled_intent(self._unit.sequence)
        self._opened_by = epoch
        self._put(key, found.model_copy(update={"held_by": epoch, "opened_by": epoch}))
        if self._intent is not None:
            self._intent = found.model_copy(update={"held_by": epoch, "opened_by": epoch})

    def drop_intent(self) -> None:
        """For an intent of which it is not known whether the sink's commit of its number is the one that it names."""
        if self._intent is not None:
            self._settle(self._intent)

    def accept_loss(self, sink_sequence: int) -> None:
        """Goes on above the sink's commits, which this state does not know: their rows are read again, and must be merged.

        The number is written last, so that after a crash in between the sink is still ahead of the state.
        """
        for state in self.segments.values():
            self._put_segment(merging(state))
        self.drop_intent()
        self._put_unit(self._above_unknown(sink_sequence))

    def _above_unknown(self, sink_sequence: int) -> UnitDocument:
        update = {"sequence": sink_sequence, "claimed": self._unit.last_claimed, "known_from": sink_sequence}
        return self._unit.model_copy(update=update)

    def go_back(self, sink_sequence: int, rows_of: int) -> None:
        """Takes the number of a sink that has fewer commits than this state, and the rows of commit `rows_of`. The caller sets the
        watermarks anew."""
        self.drop_intent()
        for state in self.segments.values():
            self._put_segment(state.model_copy(update={"sequence": min(state.sequence, rows_of)}), past="")
        claimed = None if rows_of == sink_sequence else rows_of
        update = {"sequence": sink_sequence, "known_from": sink_sequence, "claimed": claimed, "commits": ()}
        self._put_unit(self._unit.model_copy(update=update))

    def return_to(self, to: int, sequence: int) -> None:
        """Goes back to the checkpoint as it was after commit `to`; the next commit follows `sequence`, the number of the sink.

        After a crash in between, the next run finishes it, because the unit's document says that it began.

        Raises:
            HistoryTooShort: the checkpoint does not keep that state; nothing was changed.
        """
        refuse_unknown_past(self._unit, to)
        for document in self._documents.values():
            segment_at(document, to)
        going = Return(to=to, sequence=sequence)
        self._put_unit(self._unit.model_copy(update={"epoch": self.epoch, "run_id": self._run_id, "returning": going}))
        reached("state:after-return-began")
        self._finish_return(going)

    def _finish_return(self, going: Return) -> None:
        self.drop_intent()
        for document in list(self._documents.values()):
            found = segment_at(document, going.to)
            self._put_segment(merging(found.state), past=found.past)
            reached("state:between-returned-segments")
        unit = self._unit
        update = {
            "epoch": self.epoch,
            "sequence": going.sequence,
            "claimed": None if going.sequence == going.to else going.to,
            "commits": tuple(commit for commit in unit.commits if commit.sequence <= going.to),
            "known_from": unit.known_from if going.sequence == going.to else going.sequence,
            "returning": None,
        }
        self._put_unit(unit.model_copy(update=update))

    def set_watermarks(self, watermarks: Mapping[str, Position], cursor: str | None) -> None:
        """Sets watermarks by hand: the segments count as loaded up to them; unfinished scopes are dropped."""
        update = {"epoch": self.epoch, "run_id": self._run_id, "cursor": cursor, "known_from": self._unit.sequence}
        self._put_unit(self._unit.model_copy(update=update))
        for segment, position in watermarks.items():
            state = self._state_of(segment)
            update = {"watermark": position, "is_loaded": True, "scopes": (), "advanced": None, "verified": None}
            self._put_segment(state.model_copy(update=update))


def merging(state: SegmentState) -> SegmentState:
    """The segment whose scopes do not insert without a merge any more, because the sink may have rows of them."""
    scopes = tuple(scope.model_copy(update={"is_insert_only": False}) for scope in state.scopes)
    return state.model_copy(update={"scopes": scopes})
