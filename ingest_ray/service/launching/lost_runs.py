"""Starts runs whose starter died before they had a process: a run that was accepted is carried out."""

import logging
import time
from datetime import datetime

from ingest_ray import logs
from ingest_ray.catalog.run_records import RunRecord
from ingest_ray.sdk.errors import IngestError
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching import launcher_for
from ingest_ray.service.launching.lifecycle import adopt_run, fail_run, find_lost_runs

log = logging.getLogger(__name__)

MAX_AGE_S = 24 * 3600.0  # a run that was asked for before a longer downtime is not what a person expects to begin now


def restart_lost_runs(installation: Installation) -> list[str]:
    """Returns the ids of the runs that were started; each by one server, however many there are."""
    return [run_id for record in find_lost_runs(installation) if (run_id := _restart(installation, record)) is not None]


def _restart(installation: Installation, record: RunRecord) -> str | None:
    run_id = record.summary.run_id
    if time.time() - datetime.fromisoformat(record.started_at).timestamp() > MAX_AGE_S:
        fail_run(installation, run_id)
        return None
    if not adopt_run(installation, record):
        return None
    log.warning("run %s had no process, and its server is gone: it is started here", run_id)
    try:
        launcher_for(installation).restart(installation, run_id)
    except IngestError as error:
        log.warning("run %s could not be started: %s", run_id, logs.scrub(error.message))
        return None
    return run_id
