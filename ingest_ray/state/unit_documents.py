"""The documents of one unit's state, as the run that holds its lease has them: every write is a compare-and-set."""

from collections.abc import Mapping

from ingest_ray.kv.keys import intent_key, segment_key, segment_prefix
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import Fenced, StateConflict
from ingest_ray.sdk.types import Learned, Model, SegmentState
from ingest_ray.state.documents import IntentDocument, SegmentDocument, UnitDocument, dumped, parsed
from ingest_ray.state.lease import Lease


class UnitDocuments:
    """Every write that conflicts with another run's raises `Fenced`."""

    def __init__(self, kv: KV, unit_key: str, run_id: str, lease: Lease) -> None:
        self._kv = kv
        self._unit_key = unit_key
        self._run_id = run_id
        self.lease = lease
        self._versions: dict[str, int] = {}
        self._documents: dict[str, SegmentDocument] = {}
        self._unit = UnitDocument(epoch=lease.epoch, run_id=run_id)
        self._intent: IntentDocument | None = None
        self._opened_by = 0
        self._read_at = 0
        self._last_intended = 0
        self.is_sink_checked = False

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
        return {segment: document.state for segment, document in self._documents.items()}

    @property
    def unit(self) -> UnitDocument:
        return self._unit

    @property
    def last_claimed(self) -> int:
        """The last commit whose rows the checkpoint claims: of a fold that died, some segments have a later one than the unit."""
        return max([self._unit.last_claimed, *(document.state.sequence for document in self._documents.values())])

    def claimed_against(self, sink_sequence: int) -> int:
        """The last commit that a sink with this number must have: all that this state has counted, also those that it does not claim,
        where the sink's number went back, because then its rows are of another time."""
        return self.last_claimed if sink_sequence >= self.sequence else max(self.last_claimed, self.sequence)

    @property
    def committed_by(self) -> int:
        """The epoch of commit `last_claimed`; 0 where it is not known."""
        if self._intent is not None and self._intent.sequence == self.last_claimed:
            return self._intent.epoch
        return self._unit.committed_by

    @property
    def has_intent(self) -> bool:
        return self._intent is not None

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
            self._documents[document.state.segment] = document
            self._versions[key] = version

    def _state_of(self, segment: str) -> SegmentState:
        document = self._documents.get(segment)
        return document.state if document is not None else SegmentState(segment=segment)

    def _settle(self, intent: IntentDocument) -> None:
        self._put(intent_key(self._unit_key), self._settled_intent(intent.sequence))
        self._intent = None

    def _settled_intent(self, sequence: int) -> IntentDocument:
        return IntentDocument(
            epoch=self.epoch,
            sequence=max(sequence, self._last_intended),
            run_id=self._run_id,
            is_settled=True,
            opened_by=self._opened_by,
        )

    def _put_unit(self, unit: UnitDocument) -> None:
        if self._read_at > unit.read_at:
            unit = unit.model_copy(update={"read_at": self._read_at})
        if unit == self._unit and self._unit_key in self._versions:
            return
        self._put(self._unit_key, unit)
        self._unit = unit

    def _put_segment(self, state: SegmentState, past: str | None = None) -> None:
        """`past` None: the earlier states stay."""
        before = self._documents.get(state.segment)
        if past is None:
            past = before.past if before is not None else ""
        self._put_segment_document(SegmentDocument(epoch=self.epoch, state=state, past=past))

    def _put_segment_document(self, document: SegmentDocument) -> None:
        self._put(segment_key(self._unit_key, document.state.segment), document)
        self._documents[document.state.segment] = document

    def _put(self, key: str, document: Model) -> None:
        value = dumped(document)
        try:
            self._versions[key] = self._kv.put(key, value, self._versions.get(key, 0))
        except StateConflict as error:
            found = self._kv.get(key)
            if found is None or found[0] != value:
                raise Fenced(f"run {self._run_id}: state '{key}' was written by a newer run") from error
            self._versions[key] = found[1]  # an earlier write of this run, whose result was lost
