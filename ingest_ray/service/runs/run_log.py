"""Reads the log of a run that a process of its own executes."""

import time
from collections.abc import Iterator

from ingest_ray.catalog import run_records
from ingest_ray.logs import escape_controls, scrub
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.child_process import log_path
from ingest_ray.service.launching.lifecycle import read_run_state

POLL_S = 0.5
MOST_BYTES = 256 * 1024  # of the end of a log


def read_log(installation: Installation, run_id: str, *, follow: bool = False) -> Iterator[str]:
    """The lines, without control characters. `follow`: until the run has ended, also those that are written meanwhile.

    Raises:
        ConfigError: there is no such run, or this machine has no log of it.
    """
    with installation.catalog.read() as connection:
        record = run_records.find(connection, run_id)
    if record is None:
        raise ConfigError(f"RUN: there is no run '{run_id}'", hint="ingest-ray history shows the ids")
    path = log_path(installation, record.summary.run_id)
    if not path.is_file():
        raise ConfigError(
            f"run '{run_id}' has no log in '{path.parent}'",
            hint="runs of the command line log to its terminal, Ray jobs to the job's log, workers to that of the worker",
        )
    with path.open(encoding="utf-8", errors="replace") as lines:
        while True:
            is_over = not follow or _has_ended(installation, run_id)  # before the last lines are read
            yield from (escape_controls(scrub(line.rstrip("\n"))) for line in lines)
            if is_over:
                return
            time.sleep(POLL_S)


def last_lines(installation: Installation, run_id: str, most: int) -> list[str]:
    """The end of the log, without control characters; none where this machine has no log of the run."""
    path = log_path(installation, run_id)
    if not path.is_file():
        return []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MOST_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return [escape_controls(scrub(line)) for line in lines[-most:]]


def _has_ended(installation: Installation, run_id: str) -> bool:
    """Also where its process is gone, and no server has noticed that."""
    try:
        return read_run_state(installation, run_id) is not RunState.RUNNING
    except ConfigError:  # its record was swept
        return True
