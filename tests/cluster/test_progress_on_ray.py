"""Readers on Ray report their rows while they read."""

from pathlib import Path

import pytest

from tests.progress.test_progress import CRAWL, check_progress, run_until_rows_are_shown
from tests.run.installation import Installation

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


def test_rows_of_a_slice_are_shown_while_it_is_read_on_ray(tmp_path: Path) -> None:
    check_progress(*run_until_rows_are_shown(Installation(tmp_path, source=CRAWL, inline_below=0)))
