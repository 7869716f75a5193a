"""Restores a backup: the catalog comes last, so that nothing runs on a state that is restored in part."""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from ingest_ray.catalog import comparisons, endpoints, run_records
from ingest_ray.catalog.export import delete_rows, has_rows, insert_rows
from ingest_ray.catalog.tables import SCHEMA
from ingest_ray.files.private import write_private_file
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.contracts import KV as StateStore
from ingest_ray.sdk.errors import ConfigError, GateError, IngestError, RunActive, StateConflict, StateUnreadable
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Endpoint, Model
from ingest_ray.secrets import resolve
from ingest_ray.service.backup.backup_files import CATALOG, HOME, HOME_FOLDERS, KV, BackupFolder, BackupManifest
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.record_keeping import failed
from ingest_ray.service.runs.run_liveness import INTERRUPTED
from ingest_ray.service.units.reset import return_checkpoint
from ingest_ray.state.documents import LeaseDocument, dumped, parsed
from ingest_ray.state.lease import describe, is_live

LEASE = "::lease"


class FittedUnit(Model):
    """A unit whose checkpoint was compared with its sink. `note`: why it was not compared. `error`: it cannot go back that far, or the
    sink does not answer."""

    endpoint_id: str
    unit_id: str
    sink_id: str
    before: int
    sequence: int
    note: str | None = None
    error: str | None = None
    hint: str | None = None


class RestoreResult(Model):
    """`unopened_endpoints`: their secrets were sealed with a key that this installation does not have."""

    taken_at: str
    units: int
    documents: int
    catalog_rows: int
    unopened_endpoints: tuple[str, ...] = ()
    fitted: tuple[FittedUnit, ...] = ()


def restore_backup(installation: Installation, source: Path, *, replaces: bool = False) -> RestoreResult:
    """Puts a backup into an installation that is empty, or with `replaces` instead of what it has. Repeating it after a crash is safe.

    Raises:
        ConfigError: the backup is damaged or not complete, or the installation is not empty; nothing was changed.
        RunActive: a run lives; nothing was changed.
    """
    folder = BackupFolder(source)
    manifest = folder.opened()
    _refuse_newer(manifest, source)
    _refuse_unready(installation, replaces)
    with installation.catalog.begin(is_alone=True) as connection:
        delete_rows(connection)
    reached("restore:after-emptied")
    _restore_documents(installation.kv, folder)
    reached("restore:after-state")
    _restore_home(Path(installation.settings.home), folder)
    with installation.catalog.begin(is_alone=True) as connection:
        insert_rows(connection, lambda table: folder.read_lines(f"{CATALOG}/{table}.jsonl"))
        for record in (
            *run_records.running(connection),
            *comparisons.running(connection),
        ):  # in the original, where they may go on
            run_records.finish(connection, failed(record.summary, INTERRUPTED))
        run_records.end_collections(connection, INTERRUPTED.message)
    return RestoreResult(
        taken_at=manifest.taken_at,
        units=len(manifest.units),
        documents=manifest.documents,
        catalog_rows=manifest.catalog_rows,
        unopened_endpoints=_unopened(installation),
    )


def fit_to_sinks(installation: Installation, source: Path) -> tuple[FittedUnit, ...]:
    """Moves the checkpoint of each unit of a backup back to what its sink has, where the sink is behind."""
    fitted = []
    for unit in BackupFolder(source).opened().units:
        note, error, hint, before, sequence = None, None, None, unit.sequence, unit.sequence
        try:
            done = return_checkpoint(installation, UnitRef(unit.endpoint_id, unit.unit_id), unit.sink_id)
            before, sequence = done.before, done.sequence
        except (GateError, ConfigError) as caught:  # disabled, replaced by each run, or of a sink that does not tell
            note = caught.message
        except IngestError as caught:
            error, hint = f"{caught.message} [{caught.code}]", caught.hint
        fitted.append(
            FittedUnit(
                endpoint_id=unit.endpoint_id,
                unit_id=unit.unit_id,
                sink_id=unit.sink_id,
                before=before,
                sequence=sequence,
                note=note,
                error=error,
                hint=hint,
            )
        )
    return tuple(fitted)


def _refuse_newer(manifest: BackupManifest, source: Path) -> None:
    if manifest.catalog_schema > SCHEMA:
        raise ConfigError(
            f"backup '{source}' was taken by version {manifest.version}, whose catalog is newer than that of this version",
            hint="use that version, or a newer one",
        )


def _refuse_unready(installation: Installation, replaces: bool) -> None:
    for key, value, _ in installation.kv.scan("ingest::"):
        if key.endswith(LEASE):
            with suppress(StateUnreadable):  # an unreadable state is a reason to restore
                lease = parsed(LeaseDocument, key, value)
                if is_live(lease):
                    raise RunActive(f"a run lives: {describe(lease)}", hint="wait for it, or stop it first")
    if replaces:
        return
    with installation.catalog.read() as connection:
        is_empty = not has_rows(connection)
    if not is_empty or next(installation.kv.scan("ingest::"), None) is not None:
        raise ConfigError(
            "this installation is not empty",
            hint="restore into a new home and a new state store, or replace everything that it has with --replace",
        )


def _restore_documents(kv: StateStore, folder: BackupFolder) -> None:
    """Writes above the versions that exist, so that no process of before can write any more; epochs never go back."""
    restored = set()
    for line in folder.read_lines(KV):
        key, value = str(line["key"]), line["value"]
        assert isinstance(value, dict)
        restored.add(key)
        while True:
            found = kv.get(key)
            if key.endswith(LEASE):
                value = _released(key, value, _epoch_of(found[0]) if found else 0)
            try:
                kv.put(key, value, found[1] if found else 0)
                break
            except StateConflict:
                continue
    for key, _, version in list(kv.scan("ingest::")):
        if key not in restored and not key.endswith(LEASE):
            kv.delete(key, version)


def _released(key: str, value: dict[str, JsonValue], epoch: int) -> dict[str, JsonValue]:
    try:
        lease = parsed(LeaseDocument, key, value)
    except StateUnreadable:  # restored as it was
        return value
    return dumped(lease.model_copy(update={"epoch": max(lease.epoch, epoch), "is_released": True}))


def _epoch_of(value: Mapping[str, JsonValue]) -> int:
    epoch = value.get("epoch")
    return epoch if isinstance(epoch, int) else 0


def _restore_home(home: Path, folder: BackupFolder) -> None:
    """What the home has already is kept beside, under another name."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    for name in HOME_FOLDERS:
        source, target = folder.path / HOME / name, home / name
        if target.is_dir() and any(target.rglob("*")):
            os.replace(target, home / f"{name}.before-restore-{stamp}")
        for file in sorted(source.rglob("*")):
            if file.is_file():
                write_private_file(target / file.relative_to(source), file.read_bytes())


def _unopened(installation: Installation) -> tuple[str, ...]:
    with installation.catalog.read() as connection:
        found = [entry.endpoint for entry in endpoints.listed(connection)]
    return tuple(endpoint.endpoint_id for endpoint in found if not _can_open(endpoint, installation))


def _can_open(endpoint: Endpoint, installation: Installation) -> bool:
    if "$secret" not in str(endpoint.config):  # references are followed when they are needed
        return True
    try:
        resolve(endpoint, installation.settings)
        return True
    except ConfigError:
        return False
