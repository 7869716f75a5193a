"""Takes a backup: the state store unit by unit, the catalog in one snapshot, and what belongs to both in the home."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from ingest_ray import __version__
from ingest_ray.catalog.export import exported_rows
from ingest_ray.catalog.tables import SCHEMA
from ingest_ray.kv.keys import unit_of
from ingest_ray.process.failpoints import reached
from ingest_ray.service.backup.backup_files import (
    CATALOG,
    HOME,
    HOME_FOLDERS,
    KV,
    BackedUpUnit,
    BackupFolder,
    BackupManifest,
)
from ingest_ray.service.backup.state_snapshot import Documents, read_unit, unit_keys
from ingest_ray.service.installation import Installation


def take_backup(installation: Installation, to: Path) -> BackupManifest:
    """Copies state, catalog and quarantine into the new folder `to`, while runs may go on. Secrets stay sealed; the key is not copied.

    The state is copied first: files of the quarantine that a copied commit names exist by then.

    Raises:
        ConfigError: the folder is not empty.
        StateUnavailable: the state store or the catalog does not answer; the folder has no manifest, and is no backup.
    """
    folder = BackupFolder(to)
    folder.create()
    units: list[BackedUpUnit] = []
    documents = folder.write_lines(KV, _documents(installation, units))
    reached("backup:after-state")
    rows = 0
    with installation.catalog.read(is_snapshot=True) as connection:
        for table, lines in exported_rows(connection):
            rows += folder.write_lines(f"{CATALOG}/{table}.jsonl", lines)
    reached("backup:after-catalog")
    for name in HOME_FOLDERS:
        folder.copy_from(Path(installation.settings.home) / name, f"{HOME}/{name}")
    manifest = BackupManifest(
        version=__version__,
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        catalog_schema=SCHEMA,
        catalog_rows=rows,
        documents=documents,
        units=tuple(units),
        checksums=folder.checksums(),
    )
    reached("backup:before-manifest")
    folder.finish(manifest)
    return manifest


def _documents(installation: Installation, units: list[BackedUpUnit]) -> Iterator[dict[str, JsonValue]]:
    for unit_key in unit_keys(installation.kv):
        found = read_unit(installation.kv, unit_key)
        name = unit_of(unit_key)
        assert name is not None
        units.append(
            BackedUpUnit(
                endpoint_id=name[1],
                unit_id=name[2],
                sink_id=name[3],
                sequence=_number_in(found, unit_key, "sequence"),
                epoch=_number_in(found, f"{unit_key}::lease", "epoch"),
            )
        )
        for key, value in found.items():
            yield {"key": key, "value": value}


def _number_in(documents: Documents, key: str, field: str) -> int:
    """0 where there is no such document, or it is not readable by this version."""
    number = documents.get(key, {}).get(field)
    return number if isinstance(number, int) else 0
