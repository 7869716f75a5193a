"""Where the next advance of a segment begins: rows of an advance that is planned already are not planned a second time."""

import pytest

from ingest_ray.sdk.types import Axis, Effect, Interval, Scope, SegmentState
from ingest_strategies.atlassian.segment_progress import next_lower_ms
from ingest_strategies.jdbc.planning.lookback import next_lower

CURSOR = Axis(kind="cursor", columns=("at",))


def advance(number: int, lower: int, upper: int, effect: Effect = Effect.ADVANCE) -> Scope:
    target = Interval(lower=(lower,), upper=(upper,))
    return Scope(scope_id=f"since-{number}", segment="s", axis=CURSOR, effect=effect, target=target)


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ((), 10),
        ((advance(1, 10, 20),), 20),
        ((advance(1, 10, 20), advance(2, 20, 30)), 30),
        ((advance(1, 10, 20), advance(2, 4, 10, Effect.REPEAT)), 20),
        ((advance(2, 4, 10, Effect.REPEAT),), 10),
    ],
)
def test_the_next_advance_begins_at_the_end_of_the_last_planned_one(scopes: tuple[Scope, ...], expected: int) -> None:
    state = SegmentState(segment="s", watermark=(10,), is_loaded=True, scopes=scopes)
    assert next_lower(state) == (expected,)
    assert next_lower_ms(state) == expected


def test_a_segment_that_was_never_read_has_no_next_advance() -> None:
    assert next_lower(None) is None
    assert next_lower(SegmentState(segment="s")) is None
    assert next_lower_ms(SegmentState(segment="s")) is None
