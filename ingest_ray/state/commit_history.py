"""The earlier states of a checkpoint: enough to go back to what a sink has that was restored from an earlier copy.

Each segment keeps its states from before its last commits, in the document that the commit rewrites anyway; so a commit costs no further
write, and state and history cannot differ after a crash. The unit keeps the numbers of its last commits, with their epochs and tasks.
"""

from collections.abc import Iterable, Sequence

from ingest_ray.sdk.errors import HistoryTooShort
from ingest_ray.sdk.types import SegmentState
from ingest_ray.state.documents import FoldedCommit, SegmentDocument, UnitDocument

KEPT_COMMITS = 64  # about three days of hourly runs, or the commits of a load of some gigabytes
PAST_BYTES = 24 * 1024  # of a segment's document, which has at most 64 KiB


def with_past(document: SegmentDocument, before: SegmentState, past: Iterable[SegmentState]) -> SegmentDocument:
    """`document` after a commit, with the states that the segment had `before` it and before earlier ones."""
    sequence = document.state.sequence
    kept = [*past, before]
    following = [*(state.sequence for state in kept[1:]), sequence]
    kept = [state for state, number in zip(kept, following, strict=True) if number > sequence - KEPT_COMMITS]
    free = PAST_BYTES - max(0, _bytes(document.state) - PAST_BYTES)
    first = len(kept)
    for index in reversed(range(len(kept))):
        free -= _bytes(kept[index])
        if free < 0:
            break
        first = index
    return document.model_copy(update={"past": tuple(kept[first:])})


def _bytes(state: SegmentState) -> int:
    return len(state.model_dump_json().encode())


def with_commit(commits: Sequence[FoldedCommit], commit: FoldedCommit) -> tuple[FoldedCommit, ...]:
    """A fold that died may be repeated."""
    others = (other for other in commits if other.sequence != commit.sequence)
    return (*others, commit)[-KEPT_COMMITS:]


def segment_at(document: SegmentDocument, sequence: int) -> SegmentDocument:
    """The segment as it was after the unit's commit `sequence`.

    Raises:
        HistoryTooShort: it does not keep that state.
    """
    states = (*document.past, document.state)
    for index in reversed(range(len(states))):
        if states[index].sequence <= sequence:
            return document.model_copy(update={"state": states[index], "past": states[:index]})
    raise HistoryTooShort(f"segment '{document.state.segment}' keeps no state of commit {sequence}")


def refuse_unknown_past(unit: UnitDocument, sequence: int) -> None:
    """Raises `HistoryTooShort` where the unit does not know each commit above `sequence`."""
    kept = {commit.sequence for commit in unit.commits}
    missing = [number for number in range(max(sequence + 1, 1), unit.sequence + 1) if number not in kept]
    if sequence < unit.known_from:
        raise HistoryTooShort(f"at commit {unit.known_from} the checkpoint was set anew")
    if missing:
        raise HistoryTooShort(f"the checkpoint keeps {len(kept)} earlier commits, not commit {missing[-1]}")


def last_common_commit(unit: UnitDocument, sink_epoch: int, sink_sequence: int) -> int:
    """The last commit of this state that the sink has, given the epoch and the number of the sink.

    A sink whose epoch is older than that of a commit cannot have it: the number is that of another commit, made before the state
    went back to an earlier one.

    Raises:
        HistoryTooShort: the epochs of these commits are not kept any more.
    """
    epochs = {commit.sequence: commit.epoch for commit in unit.commits}
    common = last = min(sink_sequence, unit.sequence)
    while common > 0 and epochs.get(common, 0) > sink_epoch:
        common -= 1
    if 0 < common < last and common not in epochs:
        raise HistoryTooShort(f"the checkpoint does not keep which of its commits up to {common} the target has")
    return common
