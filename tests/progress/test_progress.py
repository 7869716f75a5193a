"""Progress while a slice is being read: rows are shown before the slice has ended."""

import itertools
import threading
from pathlib import Path

import pytest

from ingest_ray.engine.run_order import Progress
from ingest_ray.run import launch
from ingest_ray.sdk.types import RunState, RunSummary
from tests.run.installation import Installation

CRAWL = {"faults": {"0:0": ["crawl"]}, "slice_rows": 2000}


def run_until_rows_are_shown(there: Installation) -> tuple[RunSummary, list[Progress]]:
    """The reader of the only slice ends when progress has shown its rows, or after a minute without them."""
    seen: list[Progress] = []
    release = Path(f"{there.journal}.release")
    give_up = threading.Timer(60, release.touch)
    give_up.start()

    def observe(progress: Progress) -> None:
        seen.append(progress)
        if progress.rows.read and not progress.slices.committed:
            release.touch()

    try:
        return launch([there.order()], observe, lambda: False)[0], seen
    finally:
        give_up.cancel()


def check_progress(summary: RunSummary, seen: list[Progress]) -> None:
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert summary.rows.read == summary.rows.committed == 2000
    early = next(progress for progress in seen if progress.rows.read)
    assert (early.phase, early.rows.committed) == ("reading", 0)
    assert early.rows.staged == early.rows.read
    for before, after in itertools.pairwise(seen):
        assert after.rows.read >= before.rows.read
        assert after.rows.staged >= before.rows.staged
    assert (seen[-1].rows.read, seen[-1].rows.staged) == (2000, 2000)


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_of_a_slice_are_shown_while_it_is_read(tmp_path: Path, threads: int) -> None:
    check_progress(*run_until_rows_are_shown(Installation(tmp_path, source=CRAWL, threads=threads)))


def test_rejected_rows_count_as_read_while_a_slice_is_read(tmp_path: Path) -> None:
    there = Installation(tmp_path, source=CRAWL | {"bad": [3, 4]}, threads=1)
    _, seen = run_until_rows_are_shown(there)
    assert any(progress.rows.read == progress.rows.staged + 2 and not progress.rows.committed for progress in seen)


def test_rows_of_a_failed_attempt_are_not_counted_twice(tmp_path: Path) -> None:
    source = CRAWL | {"faults": {"0:0": ["unavailable", "crawl"]}}
    check_progress(*run_until_rows_are_shown(Installation(tmp_path, source=source, threads=1)))
