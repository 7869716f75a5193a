"""The earlier states of a checkpoint: enough to go back to what a sink has that was restored from an earlier copy.

Each segment keeps its states from before its last commits, in the document that the commit rewrites anyway; so a commit costs no further
write, and state and history cannot differ after a crash. The unit keeps the numbers of its last commits, with their epochs and tasks.
"""

import base64
import zlib
from collections.abc import Sequence
from functools import cache

from pydantic import TypeAdapter

from ingest_ray.sdk.errors import HistoryTooShort, StateUnreadable
from ingest_ray.sdk.types import SegmentState
from ingest_ray.state.documents import FoldedCommit, SegmentDocument, UnitDocument

KEPT_COMMITS = 64  # about three days of hourly runs, or the commits of a load of some gigabytes
PLAIN_BYTES = (
    64 * 1024
)  # of a segment's earlier states before they are compressed, so that a commit costs about a millisecond
PACKED_BYTES = 24 * 1024  # and afterwards; a document has at most 64 KiB
LARGE_STATE_BYTES = 32 * 1024  # a segment with so many islands keeps no earlier states


@cache
def _states() -> TypeAdapter[tuple[SegmentState, ...]]:
    return TypeAdapter(tuple[SegmentState, ...])  # built at first use, because many commands make no commit


def packed(states: Sequence[SegmentState]) -> str:
    """Compressed, because states are alike, and every reading of the state store transfers them."""
    text = _states().dump_json(tuple(states), exclude_defaults=True)
    return base64.b64encode(zlib.compress(text)).decode() if states else ""


def unpacked(past: str) -> tuple[SegmentState, ...]:
    """Raises `StateUnreadable` for damaged text."""
    if not past:
        return ()
    try:
        return _states().validate_json(zlib.decompress(base64.b64decode(past)))
    except (ValueError, zlib.error) as error:
        raise StateUnreadable(
            "the earlier states of a segment are damaged", hint="forget the checkpoint with `ingest-ray reset`"
        ) from error


def with_past(document: SegmentDocument, before: SegmentState, past: str) -> SegmentDocument:
    """`document` after a commit, with the states that the segment had `before` it and before earlier ones."""
    sequence = document.state.sequence
    kept = [*unpacked(past), before]
    following = [*(state.sequence for state in kept[1:]), sequence]
    kept = [state for state, number in zip(kept, following, strict=True) if number > sequence - KEPT_COMMITS]
    free = PLAIN_BYTES if _bytes(document.state) <= LARGE_STATE_BYTES else 0
    first = len(kept)
    for index in reversed(range(len(kept))):
        free -= _bytes(kept[index])
        if free < 0:
            break
        first = index
    text = packed(kept[first:])
    while len(text) > PACKED_BYTES:
        first += (len(kept) - first + 1) // 2
        text = packed(kept[first:])
    return document.model_copy(update={"past": text})


def _bytes(state: SegmentState) -> int:
    return len(state.model_dump_json(exclude_defaults=True))


def with_commit(commits: Sequence[FoldedCommit], before: int, commit: FoldedCommit) -> tuple[FoldedCommit, ...]:
    """`before`: the number of the checkpoint; the numbers between are left out. A fold that died may be repeated."""
    others = (other for other in commits if other.sequence != commit.sequence)
    first = max(before + 1, commit.sequence - KEPT_COMMITS)
    left_out = (
        commit.model_copy(update={"sequence": number, "is_left_out": True}) for number in range(first, commit.sequence)
    )
    return (*others, *left_out, commit)[-KEPT_COMMITS:]


def segment_at(document: SegmentDocument, sequence: int) -> SegmentDocument:
    """The segment as it was after the unit's commit `sequence`.

    Raises:
        HistoryTooShort: it does not keep that state.
    """
    if document.state.sequence <= sequence:
        return document
    states = unpacked(document.past)
    for index in reversed(range(len(states))):
        if states[index].sequence <= sequence:
            return document.model_copy(update={"state": states[index], "past": packed(states[:index])})
    raise HistoryTooShort(f"segment '{document.state.segment}' keeps no state of commit {sequence}")


def refuse_unknown_past(unit: UnitDocument, sequence: int) -> None:
    """Raises `HistoryTooShort` where the unit does not know each commit above `sequence`."""
    kept = {commit.sequence for commit in unit.commits}
    missing = next((number for number in range(unit.sequence, max(sequence, 0), -1) if number not in kept), None)
    if sequence < unit.known_from:
        raise HistoryTooShort(f"at commit {unit.known_from} the checkpoint was set anew")
    if missing is not None:
        raise HistoryTooShort(f"the checkpoint keeps {len(kept)} earlier commits, not commit {missing}")


def left_out_numbers(unit: UnitDocument) -> set[int]:
    return {commit.sequence for commit in unit.commits if commit.is_left_out}


def last_common_commit(unit: UnitDocument, sink_epoch: int, sink_sequence: int) -> int:
    """The last commit of this state that the sink has, given the epoch and the number of the sink.

    A sink whose epoch is older than that of a commit cannot have it: the number is that of another commit, made before the state
    went back to an earlier one.

    Raises:
        HistoryTooShort: the epochs of these commits are not kept any more.
    """
    epochs = {commit.sequence: commit.epoch for commit in unit.commits}
    left_out = left_out_numbers(unit)
    common = last = min(sink_sequence, unit.sequence)
    while common > 0 and (common in left_out or epochs.get(common, 0) > sink_epoch):
        common -= 1
    if 0 < common < last and common not in epochs:
        raise HistoryTooShort(f"the checkpoint does not keep which of its commits up to {common} the target has")
    return common
