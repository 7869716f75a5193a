"""Files of the home: who may read them, how much space there is, and what was left there."""

import os
import shutil
import stat
from pathlib import Path

from ingest_ray.kv.keys import unit_of
from ingest_ray.quarantine import rejected_rows
from ingest_ray.sdk.errors import ConfigError, StagingUnavailable
from ingest_ray.secrets.locations import quarantine_location, staging_location
from ingest_ray.service.installation import Installation
from ingest_ray.service.upkeep.checks.found import Found
from ingest_ray.staging import open_staging
from ingest_ray.staging.kept_runs import list_kept_runs
from ingest_ray.staging.reach import check_places
from ingest_ray.state.documents import LeaseDocument, parsed
from ingest_ray.state.lease import is_live

LOW_BYTES = 1024**3
SECRET_FILES = ("secret.key", "mask.key", "settings.json", "state.db")


def check_files(installation: Installation) -> Found:
    home = Path(installation.settings.home)
    if not home.is_dir():
        yield "failed", f"the home '{home}' does not exist", "ingest-ray apply makes it"
        return
    if not os.access(home, os.W_OK):
        yield "failed", f"the home '{home}' cannot be written by this user", "run as its owner, or change its rights"
    if os.name != "posix":
        return
    for name in SECRET_FILES:
        file = home / name
        if file.exists() and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield "warning", f"others may read or change '{file}'", f"chmod 600 '{file}'"


def check_disk(installation: Installation) -> Found:
    settings = installation.settings
    for what, path in (("home", settings.home), ("staging", settings.staging_uri)):
        if "://" in path or not Path(path).exists():
            continue
        free = shutil.disk_usage(path).free
        if free < LOW_BYTES:
            yield "warning", f"only {free // 1024**2} MiB are free where {what} is ('{path}')", "free space there"


def check_stores(installation: Installation) -> Found:
    """The places of staging and quarantine in object stores."""
    try:
        check_places(installation.settings)
    except (StagingUnavailable, ConfigError) as error:
        yield "failed", error.message, error.hint or "check storage_options"


def check_leftovers(installation: Installation) -> Found:
    """Staged pages of runs that are neither live nor kept."""
    settings = installation.settings
    if settings.staging.provider == "object-store":
        return
    staged = set(open_staging(settings, "files").runs())
    if not staged:
        return
    live = {kept.run_id for kept in list_kept_runs(staging_location(settings))}
    for key, value, _ in installation.kv.scan("ingest::"):
        if key.endswith("::lease") and unit_of(key) is not None:
            lease = parsed(LeaseDocument, key, value)
            live |= {lease.run_id} if is_live(lease) else set()
    if dead := staged - live:
        yield (
            "warning",
            f"staging has pages of {len(dead)} runs that are over",
            "ingest-ray sweep; each run sweeps, too",
        )


def check_quarantine(installation: Installation) -> Found:
    entries = rejected_rows.list_quarantine(quarantine_location(installation.settings))
    if entries:
        rows = sum(entry.rows for entry in entries)
        units = len({entry.ref for entry in entries})
        hint = "ingest-ray quarantine list; correct and replay them, or discard them"
        yield "warning", f"{rows} rows of {units} units are in quarantine", hint
