"""Applies `ingest.yaml` to the catalog, all or nothing, and returns the changes. Applying again changes nothing."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from ingest_ray.catalog import Catalog, endpoints, run_records, unit_configs
from ingest_ray.catalog.endpoints import EndpointDescription, Registration, Role
from ingest_ray.catalog.unit_configs import StoredRule
from ingest_ray.config import SETTINGS, Config
from ingest_ray.config.settings_secrets import map_sealable
from ingest_ray.files.private import make_private_folder
from ingest_ray.registry import sink_family, strategy_for
from ingest_ray.sdk.errors import ConfigError, EndpointInUse
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Endpoint, Model, UnitSpec
from ingest_ray.secrets import open_url, seal
from ingest_ray.secrets.keyring import Keyring
from ingest_ray.secrets.sealing import SEALED
from ingest_ray.service.endpoints.connection_test import check_endpoints
from ingest_ray.service.endpoints.displaced_units import (
    DisplacedUnit,
    Displacement,
    displaced_error,
    find_displaced_units,
    has_catalog,
    record_old_locations,
    settle_displaced_units,
)
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.run_liveness import is_run_alive
from ingest_ray.service.units.cdm_expressions import check_mappings
from ingest_ray.service.units.listing import configure_units, skip_note
from ingest_ray.service.units.policies.replay import no_replay, replay_notes
from ingest_ray.service.units.policies.unfit_units import UnfitUnit, checked_units, moved_units
from ingest_ray.service.units.rules import RuleFault
from ingest_ray.settings import Settings


class Change(Model):
    """`fields` are names only: values may be secrets."""

    action: Literal["+", "~", "-"]
    kind: Literal["settings", "endpoint", "sink", "rule", "unit"]
    id: str
    fields: tuple[str, ...] = ()


class ApplyResult(Model):
    is_dry_run: bool
    home: str
    changes: tuple[Change, ...]
    unfit: tuple[UnfitUnit, ...] = ()
    """Enabled units that a run would refuse."""
    warnings: tuple[str, ...] = ()
    """Units that a pattern selects in CDM mode, and that have no mapper."""
    notes: tuple[str, ...] = ()
    """What is no fault, and good to know before the first run."""
    displaced: tuple[DisplacedUnit, ...] = ()
    """Units that were loaded into a sink at another place: their checkpoints went along, or were forgotten, as was asked for."""
    set_by_hand: tuple[str, ...] = ()
    """Units whose configuration was saved in the console or through the service: the rules of the file do not apply to them."""


class _DryRunEnd(Exception):
    """Rolls back the transaction of a dry run."""


def apply(
    config: Config,
    *,
    dry_run: bool = False,
    take_back: bool = False,
    displaced: Displacement | None = None,
    checks_reach: bool = False,
) -> ApplyResult:
    """Registers endpoints, sinks and rules. Entries that the file no longer has are removed; data and checkpoints stay.

    `take_back`: the rules apply again to units whose configuration was saved in the console or through the service. `displaced`: what
    becomes of the checkpoints of units that were loaded into a sink at another place. `checks_reach`: logs in at each endpoint and sink
    first.

    Raises:
        EndpointInUse: an endpoint that the file no longer has has a live run.
        RunActive: a unit whose checkpoint would move or be forgotten has one.
        ConfigError: a rule names a unit that a collected endpoint does not have.
        TargetChanged: a sink is elsewhere, `displaced` does not say what follows, and nothing was changed.
        ConnectionTestFailed: `checks_reach` found an endpoint or sink that cannot be used; nothing was changed.
        StateError: a sink is elsewhere, and the checkpoints cannot be read; nothing was changed.
    """
    if checks_reach:
        check_endpoints(config.settings, [*config.endpoints, *config.sinks])
    moved = find_displaced_units(config, is_asked=displaced is not None)
    if moved and displaced is None:
        raise displaced_error(moved)
    if moved and not dry_run:
        record_old_locations(config.settings, moved)
    applied = _apply(config, dry_run=dry_run, take_back=take_back)
    if moved and not dry_run and displaced is not None:
        settle_displaced_units(config.settings, moved, displaced)
    return applied.model_copy(update={"displaced": tuple(moved)})


def _apply(config: Config, *, dry_run: bool, take_back: bool) -> ApplyResult:
    settings = config.settings
    installation = Installation(settings, Catalog("sqlite://") if dry_run and not has_catalog(settings) else None)
    keys = Keyring(settings, keeps=not dry_run)
    changes: list[Change] = []
    unfit: list[UnfitUnit] = []
    specs: list[UnitSpec] = []
    skipped: list[UnitRef] = []
    by_hand: list[UnitRef] = []
    try:
        with installation.catalog.begin(is_alone=True) as connection:
            changes += _settings_change(settings)
            changes += _register(connection, installation, config.endpoints, "source", keys)
            changes += _register(connection, installation, config.sinks, "sink", keys)
            changes += _write_rules(connection, config)
            if take_back:
                _take_back(connection)
            changes += _configure(connection, skipped)
            by_hand = [item.config.ref for item in unit_configs.listed(connection) if item.origin == "set"]
            check_mappings(connection, config.lines)
            checked = list(checked_units(connection, settings))
            unfit = [found for found in checked if isinstance(found, UnfitUnit)]
            specs = [found for found in checked if isinstance(found, UnitSpec)]
            unfit += moved_units(
                connection, installation, [change.id for change in changes if {"table", "policy"} & set(change.fields)]
            )
            if dry_run:
                raise _DryRunEnd
    except _DryRunEnd:
        pass
    finally:
        installation.catalog.close()
    if not dry_run:
        write_settings(settings)
    return ApplyResult(
        is_dry_run=dry_run,
        home=settings.home,
        changes=tuple(changes),
        unfit=tuple(unfit),
        warnings=tuple(map(skip_note, skipped)),
        set_by_hand=tuple(map(str, by_hand)),
        notes=tuple(replay_notes([found for spec in specs if (found := no_replay(spec))])),
    )


def _take_back(connection: sa.Connection) -> None:
    """Gives the units that were configured by hand back to the rules, which change or remove them afterwards."""
    for item in unit_configs.listed(connection):
        if item.origin == "set":
            unit_configs.put(connection, item.config, "rule", item.version)


def _configure(connection: sa.Connection, skipped: list[UnitRef]) -> list[Change]:
    """Raises `ConfigError` with all rules that cannot be applied."""
    faults: list[RuleFault] = []
    changes = [
        Change(action=action, kind="unit", id=name, fields=fields)
        for action, name, fields in configure_units(connection, faults, skipped)
    ]
    if faults:
        raise ConfigError("\n".join(fault.message for fault in faults), hint=faults[0].hint)
    return changes


def _register(
    connection: sa.Connection, installation: Installation, wanted: Sequence[Endpoint], role: Role, keys: Keyring
) -> Iterator[Change]:
    kind: Literal["endpoint", "sink"] = "endpoint" if role == "source" else "sink"
    for entry in endpoints.listed(connection, role):  # first, so that an id may change its role
        endpoint_id = entry.endpoint.endpoint_id
        if entry.origin == "file" and endpoint_id not in {endpoint.endpoint_id for endpoint in wanted}:
            refuse_while_running(connection, installation, endpoint_id)
            endpoints.remove(connection, endpoint_id)
            yield Change(action="-", kind=kind, id=endpoint_id)
    for endpoint in wanted:
        family = strategy_for(endpoint.template) if role == "source" else sink_family(endpoint.template)
        old = endpoints.find(connection, endpoint.endpoint_id, role)
        before = old.endpoint.config if old else {}
        config = seal(
            endpoint.config, family.descriptor.config_model, installation.settings, previous=before, keyring=keys
        )
        sealed = endpoint.model_copy(update={"config": config})
        if old is not None and old.endpoint == sealed and old.origin == "file":
            continue
        about = old.about if old is not None else EndpointDescription()
        entry = Registration(endpoint=sealed, role=role, vendor=family.descriptor.vendor, about=about)
        endpoints.save(connection, entry)
        if old is None:
            yield Change(action="+", kind=kind, id=endpoint.endpoint_id)
        else:
            names = {name for name in {*config, *before} if config.get(name) != before.get(name)}
            fields = sorted(names | ({"template"} if old.endpoint.template != endpoint.template else set()))
            yield Change(action="~", kind=kind, id=endpoint.endpoint_id, fields=tuple(fields))


def refuse_while_running(connection: sa.Connection, installation: Installation, endpoint_id: str) -> None:
    for record in run_records.running(connection):
        summary = record.summary
        if endpoint_id in (summary.endpoint_id, summary.sink_id) and is_run_alive(connection, installation, record):
            raise EndpointInUse(
                f"endpoint '{endpoint_id}' has a live run of unit '{summary.unit_id}'",
                hint="stop the run first, then apply again",
            )


def _write_rules(connection: sa.Connection, config: Config) -> Iterator[Change]:
    new = [
        StoredRule(
            document=rule.model_dump(mode="json", exclude_unset=True),
            written_at=config.lines.get(str(n), config.source),
        )
        for n, rule in enumerate(config.rules)
    ]
    old = unit_configs.rules(connection)
    if new != old:
        unit_configs.replace_rules(connection, new)
    before, after = _by_name(old), _by_name(new)
    for name, documents in after.items():
        if name not in before:
            yield Change(action="+", kind="rule", id=name)
        elif before[name] != documents:
            yield Change(action="~", kind="rule", id=name)
    for name in before.keys() - after.keys():
        yield Change(action="-", kind="rule", id=name)


def _by_name(rules: Sequence[StoredRule]) -> dict[str, list[object]]:
    named: dict[str, list[object]] = {}
    for rule in rules:
        named.setdefault(f"{rule.document['endpoint']}:{rule.document['unit']}", []).append(rule.document)
    return named


def _settings_change(settings: Settings) -> list[Change]:
    file = Path(settings.home) / SETTINGS
    if not file.exists():
        return [Change(action="+", kind="settings", id=str(file))]
    try:
        old = Settings.model_validate_json(file.read_bytes())
    except ValueError:
        return [Change(action="~", kind="settings", id=str(file))]
    old, new = map_sealable(old, partial(_revealed, settings)), map_sealable(settings, partial(_revealed, settings))
    names = [name for name in Settings.model_fields if getattr(old, name) != getattr(new, name)]
    return [Change(action="~", kind="settings", id=str(file), fields=tuple(names))] if names else []


def _revealed(settings: Settings, url: str) -> str:
    """The URL with its seal opened, for comparison: two seals of one URL differ."""
    try:
        return open_url(url, settings) if url.startswith(SEALED) else url
    except ConfigError:
        return url


def write_settings(settings: Settings) -> None:
    """Stores the settings in their home, for commands in other folders."""
    home = Path(settings.home)
    if not _settings_change(settings):
        return
    make_private_folder(home)
    write_text(home / SETTINGS, settings.model_dump_json(indent=2) + "\n")


def write_text(file: Path, text: str) -> None:
    """Writes the file atomically, readable by its owner only."""
    descriptor, scratch = tempfile.mkstemp(dir=file.parent, prefix=f".{file.stem}")
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    os.replace(scratch, file)
