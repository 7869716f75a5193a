"""Compares all rows of a unit with its sink: by sums of keys where both sides have them, else row by row on disk.

    sums      ranges of keys whose count and sums are equal are done
    sink      the rows of the other ranges, as of one commit
    source    the same, block by block; a comparison that was killed goes on after its last block
    look-up   every difference is read again at the source before it counts

A row is expected in the sink where it lies below the watermark of its segment. Rows that were changed, deleted or inserted since
fail the look-up: they belong to a later run.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.engine.comparison.spool import Spool
from ingest_ray.engine.comparison.unit_rows import Bounds, ComparedRows
from ingest_ray.engine.reports import ComparisonProgress
from ingest_ray.sdk.key_sums import LONGEST_SPAN, KeyRange, KeySum, differing_ranges
from ingest_ray.sdk.types import SegmentState, Slice

SUM_BLOCKS = 4_096  # of a statement: a differing block of 10 million rows is 2,500 rows
STATEMENT_ROWS = 32_000_000  # of one statement of sums: some seconds, after which the progress is kept
SINK_READS = 3  # of the sink, when runs of the unit commit meanwhile
REPORT_EVERY_S = 1.0


class Stopped(Exception):
    """A stop was requested; the blocks that were read are kept."""


@dataclass(frozen=True)
class Differences:
    """Counts of keys. `newer`: keys that differ, and belong to a later run. `candidates_gone`: surplus keys before the proof."""

    rows_at_source: int = 0
    rows_in_sink: int = 0
    missing: int = 0
    different: int = 0
    surplus: int = 0
    doubled: int = 0
    newer: int = 0
    is_by_sums: bool = False


class Comparison:
    """One comparison over one spool; `sink_sequence` returns the number of the sink's last commit."""

    def __init__(
        self,
        rows: ComparedRows,
        spool: Spool,
        known: Mapping[str, SegmentState],
        sink_sequence: Callable[[], int],
        observe: Callable[[ComparisonProgress], None] = lambda progress: None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._rows = rows
        self._spool = spool
        self._known = known
        self._sink_sequence = sink_sequence
        self._observe = observe
        self._is_stopping = is_stopping
        self._started = time.monotonic()
        self._reported = 0.0

    def run(self, estimated_rows: int | None, *, counts_doubled: bool) -> Differences:
        """Raises `Stopped`, and the errors of source and sink."""
        ranges, totals = self._differing_ranges(estimated_rows)
        if ranges is not None and not ranges:
            return Differences(rows_at_source=totals[0], rows_in_sink=totals[1], is_by_sums=True)
        self._read_sink(ranges)
        self._read_source(ranges, totals)
        self._spool.compare()
        newer = self._look_up_again(ranges)
        spool = self._spool
        by_sums = ranges is not None
        return Differences(
            rows_at_source=totals[0] if by_sums else spool.count("source"),
            rows_in_sink=totals[1] if by_sums else spool.count("sink"),
            missing=spool.count("missing"),
            different=spool.count("different"),
            surplus=spool.count("surplus"),
            doubled=spool.count("doubled") if counts_doubled else 0,
            newer=newer,
            is_by_sums=by_sums,
        )

    # --- sums

    def _differing_ranges(self, estimated_rows: int | None) -> tuple[list[Bounds] | None, tuple[int, int]]:
        """The ranges of keys to compare row by row, None for all of them; and the rows at the source and in the sink."""
        kept = self._spool.note("ranges")
        if kept is not None:
            document = json.loads(kept)
            ranges = document["ranges"]
            return None if ranges is None else [(one[0], one[1]) for one in ranges], tuple(document["totals"])
        ranges, totals = self._compare_sums(estimated_rows)
        self._spool.write_note("ranges", {"ranges": ranges, "totals": totals})
        return ranges, totals

    def _compare_sums(self, estimated_rows: int | None) -> tuple[list[Bounds] | None, tuple[int, int]]:
        span = self._rows.key_span()
        if span is None or span[1] - span[0] >= LONGEST_SPAN:
            return None, (0, 0)
        lower, upper = span[0], span[1] + 1
        statements = max(1, -(-(estimated_rows or 0) // STATEMENT_ROWS))
        width = -(-(upper - lower) // statements)
        step = max(1, -(-width // SUM_BLOCKS))
        width = -(-width // step) * step
        ranges: list[Bounds] = []
        at_source = in_sink = outside = 0
        starts = range(lower, upper, width)
        for number, start in enumerate(starts):
            self._check_stop()
            keys = KeyRange(start, min(start + width, upper), step)
            left, right, outside = self._sums(keys)
            ranges += differing_ranges(keys, left, right)
            at_source += sum(found.rows for found in left.values())
            in_sink += sum(found.rows for found in right.values())
            self._report("sums", at_source, number + 1, len(starts), is_last=number + 1 == len(starts))
        if len(starts) > 1:
            outside = self._rows.sink_sums(KeyRange(lower, upper, upper - lower))[1]
        if outside:
            ranges = [(None, lower), *ranges, (upper, None)]
        return ranges, (at_source, in_sink + outside)

    def _sums(self, keys: KeyRange) -> tuple[Mapping[int, KeySum], Mapping[int, KeySum], int]:
        """Of the source, of the sink, and the rows of the sink outside of the range."""
        with ThreadPoolExecutor(1) as threads:
            of_source = threads.submit(self._rows.source_sums, keys)
            of_sink, outside = self._rows.sink_sums(keys)
            return of_source.result(), of_sink, outside

    # --- rows

    def _read_sink(self, ranges: list[Bounds] | None) -> None:
        """The sink first: a row that only it has was at the source before, and a later scan of the source shows whether it is gone."""
        sequence = self._sink_sequence()
        if self._spool.note("sink_sequence") == str(sequence):
            return
        rows = self._counted("sink", self._rows.sink_rows(ranges))
        self._spool.replace_sink(rows, sequence)

    def _read_source(self, ranges: list[Bounds] | None, totals: tuple[int, int]) -> None:
        if self._spool.note("planned") is None:
            self._spool.write_blocks(block.model_dump_json() for block in self._rows.blocks(ranges))
        blocks = self._spool.blocks()
        rows = 0
        for number, document, is_read in blocks:
            if is_read:
                continue
            self._check_stop()
            block = Slice.model_validate_json(document)
            rows += self._spool.add_block(number, self._rows.source_rows(block))
            self._report("source", rows, number + 1, len(blocks), is_last=number + 1 == len(blocks))

    def _counted(self, step: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = 0
        for batch in batches:
            self._check_stop()
            rows += batch.num_rows
            self._report(step, rows, 0, 0)
            yield batch
        self._report(step, rows, 0, 0, is_last=True)

    # --- look-ups

    def _look_up_again(self, ranges: list[Bounds] | None) -> int:
        """Drops the differences that a later run explains; returns how many. Where a run of the unit has committed meanwhile, the
        sink is read again, and what is equal now is dropped first."""
        for _ in range(SINK_READS):
            if self._spool.note("sink_sequence") == str(self._sink_sequence()):
                break
            self._read_sink(ranges)
            self._spool.compare()
        if not self._rows.can_look_up:
            return 0
        newer = 0
        for table, is_changed in (("missing", False), ("different", True)):
            newer += self._spool.keep_found(table, self._found(table, self._known), is_changed=is_changed)
        newer += self._spool.drop_found("surplus", self._found("surplus", None))
        return newer

    def _found(self, table: str, known: Mapping[str, SegmentState] | None) -> Iterator[pa.RecordBatch]:
        rows = 0
        for keys in self._spool.read_keys(table):
            self._check_stop()
            rows += keys.num_rows
            yield from self._rows.look_up(keys, known)
            self._report(f"look-up of {table}", rows, 0, 0)

    def _check_stop(self) -> None:
        if self._is_stopping():
            raise Stopped

    def _report(self, step: str, rows: int, done: int, blocks: int, *, is_last: bool = False) -> None:
        now = time.monotonic()
        if now - self._reported < REPORT_EVERY_S and not is_last:
            return
        self._reported = now
        seconds = now - self._started
        self._observe(ComparisonProgress(step=step, rows=rows, blocks_done=done, blocks=blocks, seconds=seconds))
