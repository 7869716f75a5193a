"""The history of a dataset's schema in the catalog, and the consent to its changes."""

from ingest_ray.catalog import accepted_schema, dataset_versions, endpoints
from ingest_ray.catalog.dataset_versions import Version
from ingest_ray.sdk.errors import DatasetUnknown
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Dataset, Model
from ingest_ray.service.installation import Installation
from ingest_ray.service.units import schema_changes
from ingest_ray.service.units.listing import configured_unit
from ingest_ray.service.units.rules import is_match, is_pattern


class DatasetVersion(Model):
    version: int
    first_seen_at: str
    last_seen_at: str
    gone_at: str | None = None
    changes: tuple[str, ...] = ()
    """Compared with the version before."""


class DatasetHistory(Model):
    dataset: Dataset
    versions: tuple[DatasetVersion, ...]


def dataset_history(installation: Installation, endpoint_id: str, name: str) -> DatasetHistory:
    """Raises `EndpointNotFound`, `DatasetUnknown`."""
    with installation.catalog.read() as connection:
        endpoints.source(connection, endpoint_id)
        stored = dataset_versions.history(connection, endpoint_id, name)
    if not stored:
        raise DatasetUnknown(
            f"dataset '{endpoint_id}:{name}' is not in the catalog", hint=f"ingest-ray collect {endpoint_id}"
        )
    before: Version | None = None
    versions = []
    for version in stored:
        versions.append(
            DatasetVersion(
                version=version.version,
                first_seen_at=version.first_seen_at,
                last_seen_at=version.last_seen_at,
                gone_at=version.gone_at,
                changes=tuple(describe_changes(before.dataset, version.dataset)) if before else (),
            )
        )
        before = version
    return DatasetHistory(dataset=stored[-1].dataset, versions=tuple(versions))


def select_datasets(installation: Installation, endpoint_id: str, name: str) -> list[str]:
    """The datasets of a pattern; a name without wildcards stays as it is. Raises `EndpointNotFound`, `DatasetUnknown`."""
    if not is_pattern(name):
        return [name]
    with installation.catalog.read() as connection:
        endpoints.source(connection, endpoint_id)
        known = [dataset.name for dataset in dataset_versions.current(connection, endpoint_id)]
    found = [name] if name in known else [each for each in known if is_match(name, each)]
    if not found:
        raise DatasetUnknown(
            f"no dataset of endpoint '{endpoint_id}' matches '{name}'", hint=f"ingest-ray datasets list {endpoint_id}"
        )
    return found


class DatasetAccepted(Model):
    endpoint_id: str
    unit_id: str
    sink_id: str
    changes: tuple[str, ...] = ()


def accept_dataset(installation: Installation, unit: UnitRef) -> DatasetAccepted:
    """Accepts the dataset as the catalog has it, for the unit's next runs: a person's consent to what changed.

    Raises:
        EndpointNotFound, UnitNotFound, DatasetUnknown
    """
    with installation.catalog.begin() as connection:
        stored = configured_unit(connection, unit)
        version = dataset_versions.find(connection, unit.endpoint_id, unit.unit_id)
        if version is None or version.gone_at is not None:
            raise DatasetUnknown(
                f"dataset '{unit}' is not in the catalog", hint=f"ingest-ray collect {unit.endpoint_id}"
            )
        sink_id = stored.config.sink_id
        before = accepted_schema.find(connection, unit, sink_id)
        accepted_schema.put(connection, unit, sink_id, version.dataset)
    changes = schema_changes.changes(before, version.dataset) if before is not None else ()
    return DatasetAccepted(
        endpoint_id=unit.endpoint_id,
        unit_id=unit.unit_id,
        sink_id=sink_id,
        changes=tuple(change.text for change in changes),
    )


def describe_changes(old: Dataset, new: Dataset) -> list[str]:
    """The changes in words: columns added, dropped, changed; another key."""
    lines = [change.text for change in schema_changes.changes(old, new)]
    if old.primary_key != new.primary_key:
        lines.append(f"~ primary key: {', '.join(old.primary_key) or 'none'} -> {', '.join(new.primary_key) or 'none'}")
    kept = [column.name for column in old.columns if new.column(column.name)]
    if kept != [column.name for column in new.columns if old.column(column.name)]:
        lines.append("~ order of the columns")
    if old.kind != new.kind:
        lines.append(f"~ kind: {old.kind} -> {new.kind}")
    return lines or ["~ details of keys or types"]
