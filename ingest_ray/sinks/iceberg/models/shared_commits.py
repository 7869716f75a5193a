"""Commits to tables that several units write to: a commit that another unit's came before is made again from the newer snapshot."""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from ingest_ray.sdk.errors import SinkUnavailable
from ingest_ray.sinks.iceberg.commits import TableChange
from ingest_ray.sinks.iceberg.errors import translate_errors

log = logging.getLogger(__name__)

COMMITS = 30  # of one unit, while others commit to the same table
WAIT_S = 0.2

T = TypeVar("T")


def insist(name: str, commit: Callable[[], T]) -> T:
    """Calls `commit`, which reads the newest snapshot itself, again where another commit came before it."""
    for attempt in range(1, COMMITS + 1):
        try:
            with translate_errors(name):
                return commit()
        except SinkUnavailable as error:
            if not isinstance(error.__cause__, CommitFailedException) or attempt == COMMITS:
                raise
            log.debug("table '%s': %s", name, error.message)
            time.sleep(random.uniform(0, WAIT_S * min(attempt, 10)))
    raise AssertionError("unreachable")


class AttemptedFiles:
    """The files that an attempt wrote. The next attempt deletes them where the table has another snapshot now: a commit that names the
    older one cannot happen any more."""

    def __init__(self) -> None:
        self._snapshot: int | None = None
        self._paths: list[str] = []

    def begin(self, table: Table) -> None:
        if self._paths and self._snapshot != table.metadata.current_snapshot_id:
            for path in self._paths:
                table.io.delete(path)
        self._snapshot, self._paths = table.metadata.current_snapshot_id, []

    def note(self, change: TableChange) -> TableChange:
        self._paths = [file.file_path for file in change.added]
        return change
