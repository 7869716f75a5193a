"""How large the slices of a unit are, and how far back and forth a run reads."""

from collections.abc import Mapping

from pydantic import JsonValue

from ingest_ray.sdk.types import Interval, Piece, RunMode, UnitSpec

LAG_S = 60  # an edit may be written a little after the time that it bears
LOOKBACK_S = 30 * 60  # the index was seen to lag 25 minutes
READ_TOGETHER, READ_ALONE = 1_000, 500
"""Rows of a slice, by default. Each slice costs some 35 ms of CPU and three requests beside its rows; where each row has a request of its own, a
slice that fails repeats less, and there are more to share between readers."""
ROW_BYTES = 10_000  # of an issue with its comments, or a page, before anything was learned


def lag_s(spec: UnitSpec) -> int:
    return LAG_S if spec.policy.lag is None else spec.policy.lag


def lookback_ms(spec: UnitSpec) -> int:
    return 1000 * (spec.policy.lookback or LOOKBACK_S)


def row_bytes(spec: UnitSpec) -> float:
    return max(1.0, spec.learned.bytes_per_row or ROW_BYTES)


def slice_rows(spec: UnitSpec, most: int | None, *, is_read_together: bool) -> int:
    """`most`: the endpoint's own limit. `is_read_together`: a request reads many rows."""
    most = most or (READ_TOGETHER if is_read_together else READ_ALONE)
    return max(1, min(most, int(spec.policy.target_slice_bytes / row_bytes(spec))))


def sized_piece(spec: UnitSpec, interval: Interval, rows: int, hints: Mapping[str, JsonValue]) -> Piece:
    return Piece(
        interval=interval,
        estimated_rows=rows,
        estimated_bytes=int(rows * row_bytes(spec)),
        hints=dict(hints),
    )


def learned_points(spec: UnitSpec, spent: int) -> int | None:
    """What a full run will cost of a quota, by what the one before has cost; None: there was none. `spent`: by the probe."""
    points, rows = spec.learned.points_per_row, spec.learned.whole_rows
    if spec.config.run_mode is not RunMode.FULL or points is None or rows is None:
        return None
    return spent + round(points * rows)
