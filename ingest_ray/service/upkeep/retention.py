"""Deletes what is older than `retention` says: run records, logs, rejected rows, documents, incidents, and what dead runs left.

Nothing that a run needs is deleted: of each unit the newest runs of every task stay, as do runs without an end, and staged rows that are kept
for `remap`. A sweep that dies has deleted a part; the next one goes on.
"""

import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingest_ray.catalog import incidents, notifications, periodic_tasks, run_records, run_retention
from ingest_ray.files.folder import open_folder
from ingest_ray.quarantine import rejected_rows
from ingest_ray.run.staging_area import sweep_dead_runs
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import Model
from ingest_ray.secrets.locations import documents_location, quarantine_file, quarantine_location
from ingest_ray.service.installation import Installation
from ingest_ray.staging import open_staging

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)
TASK = "retention"
KEPT_RUNS = 20  # of each unit, sink and task, however old they are
SPOOLS_KEPT = timedelta(days=7)  # a comparison that was broken off goes on with its spool for a day


class SweepReport(Model):
    """What was deleted, or with `is_dry_run` would be. `staged_bytes`: pages of dead runs."""

    is_dry_run: bool = False
    runs: int = 0
    logs: int = 0
    rejected_rows: int = 0
    documents: int = 0
    spools: int = 0
    incidents: int = 0
    messages: int = 0
    staged_bytes: int = 0


def sweep_when_due(installation: Installation, now: datetime | None = None) -> SweepReport | None:
    """Sweeps if no process did so for a day; None: not due."""
    moment = now or datetime.now(UTC)
    with installation.catalog.read() as connection:
        if not _is_due(periodic_tasks.claimed_at(connection, TASK), moment):
            return None
    with installation.catalog.begin(is_alone=True) as connection:
        if not _is_due(periodic_tasks.claimed_at(connection, TASK), moment):
            return None  # another process was first
        periodic_tasks.claim(connection, TASK, at=run_records.instant(moment))
    return sweep(installation, now=moment)


def _is_due(claimed_at: str | None, now: datetime) -> bool:
    return claimed_at is None or now - datetime.fromisoformat(claimed_at) >= EVERY


def sweep(installation: Installation, *, is_dry_run: bool = False, now: datetime | None = None) -> SweepReport:
    moment = now or datetime.now(UTC)
    counts = {
        "runs": _sweep_runs(installation, moment, is_dry_run),
        "logs": _sweep_logs(installation, moment, is_dry_run),
        "rejected_rows": _sweep_quarantine(installation, moment, is_dry_run),
        "documents": _sweep_documents(installation, moment, is_dry_run),
        "spools": _sweep_spools(installation, moment, is_dry_run),
        "staged_bytes": 0 if is_dry_run else _sweep_staging(installation),
    }
    if not is_dry_run:
        counts |= _sweep_incidents(installation, moment)
    report = SweepReport(is_dry_run=is_dry_run, **counts)
    if any(counts.values()) and not is_dry_run:
        log.info("swept: %s", ", ".join(f"{name} {count}" for name, count in counts.items() if count))
    return report


def _sweep_runs(installation: Installation, now: datetime, is_dry_run: bool) -> int:
    kept_s = installation.settings.retention.runs
    if kept_s is None:
        return 0
    before = run_records.instant(now - timedelta(seconds=kept_s))
    with installation.catalog.read() as connection:
        old = run_retention.ended_before(connection, before, KEPT_RUNS)
    if not is_dry_run:
        for n in range(0, len(old), run_retention.AT_ONCE):
            with installation.catalog.begin() as connection:  # short transactions: runs write their progress meanwhile
                run_retention.delete(connection, old[n : n + run_retention.AT_ONCE])
    return len(old)


def _sweep_logs(installation: Installation, now: datetime, is_dry_run: bool) -> int:
    kept_s = installation.settings.retention.logs
    with installation.catalog.read() as connection:
        running = {record.summary.run_id for record in run_records.running(connection)}
    folder = Path(installation.settings.home) / "logs"
    old = [file for file in _older_than(folder, kept_s, now) if file.name.removesuffix(".log") not in running]
    return _delete_files(old, is_dry_run)


def _sweep_documents(installation: Installation, now: datetime, is_dry_run: bool) -> int:
    kept_s = installation.settings.retention.documents
    if kept_s is None:
        return 0
    try:
        folder = open_folder(documents_location(installation.settings))
        old = [name for name, at in folder.times().items() if at < now.timestamp() - kept_s]
        folder.delete_files(old if not is_dry_run else ())
    except (OSError, IngestError) as error:
        log.warning("old documents could not be swept: %s", error)
        return 0
    return len(old)


def _sweep_spools(installation: Installation, now: datetime, is_dry_run: bool) -> int:
    folder = Path(installation.settings.home) / "verify"
    old = [
        path for path in _entries(folder) if path.is_dir() and _newest_change(path) < (now - SPOOLS_KEPT).timestamp()
    ]
    for path in old if not is_dry_run else ():
        shutil.rmtree(path, ignore_errors=True)
    return len(old)


def _sweep_quarantine(installation: Installation, now: datetime, is_dry_run: bool) -> int:
    """Returns rows."""
    kept_s = installation.settings.retention.quarantine
    if kept_s is None:
        return 0
    before = now - timedelta(seconds=kept_s)
    try:
        old = [
            entry
            for entry in rejected_rows.list_quarantine(quarantine_location(installation.settings))
            if entry.at < before
        ]
        for entry in old if not is_dry_run else ():
            log.warning("%d rejected rows of %s are deleted: %s", entry.rows, entry.ref, entry.uri)
            rejected_rows.delete_rejected_rows(quarantine_file(entry.uri, installation.settings))
    except IngestError as error:
        log.warning("the quarantine could not be swept: %s", error.message)
        return 0
    return sum(entry.rows for entry in old)


def _sweep_staging(installation: Installation) -> int:
    if installation.settings.staging.provider == "object-store":
        return 0
    try:
        return sweep_dead_runs(installation.settings, open_staging(installation.settings, "files"))
    except IngestError as error:
        log.warning("staging could not be swept: %s", error.message)
        return 0


def _sweep_incidents(installation: Installation, now: datetime) -> dict[str, int]:
    kept_s = installation.settings.retention.incidents
    if kept_s is None:
        return {}
    before = run_records.instant(now - timedelta(seconds=kept_s))
    with installation.catalog.begin() as connection:
        return {
            "incidents": incidents.delete_closed_before(connection, before),
            "messages": notifications.delete_before(connection, before),
        }


def _older_than(folder: Path, kept_s: int | None, now: datetime) -> Iterator[Path]:
    for path in _entries(folder) if kept_s is not None else ():
        if path.is_file() and _changed_at(path) < now.timestamp() - (kept_s or 0):
            yield path


def _delete_files(files: list[Path], is_dry_run: bool) -> int:
    for file in files if not is_dry_run else ():
        file.unlink(missing_ok=True)
    return len(files)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _newest_change(folder: Path) -> float:
    return max([_changed_at(folder), *map(_changed_at, folder.rglob("*"))])


def _changed_at(path: Path) -> float:
    """Infinity for one that another process deletes: it is not old."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return float("inf")
