"""Registers a source and a target, collects the source, and configures the tables that are copied. Running them is `runs.execution`.

A project that `copy` made has no `ingest.yaml`; its home is the folder of the settings. Later calls add to it. `apply` of a file with
the same home replaces what `copy` registered.
"""

from collections.abc import Collection, Sequence
from itertools import count
from pathlib import Path

import sqlalchemy as sa

from ingest_ray.catalog import dataset_versions, endpoints, unit_configs
from ingest_ray.catalog.endpoints import EndpointDescription, Registration, Role
from ingest_ray.catalog.unit_configs import StoredRule
from ingest_ray.config import FILE, UnitRule, load_config
from ingest_ray.config.loading import settings_without_file
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Dataset, Endpoint, Model
from ingest_ray.sdk.url_credentials import shown_url
from ingest_ray.secrets import seal
from ingest_ray.secrets.sealing import SHOWN
from ingest_ray.service.copying.addresses import source_endpoint, target_endpoint
from ingest_ray.service.copying.rules import CopyChoice, can_upsert, choose, rule_of, select_datasets
from ingest_ray.service.endpoints.apply import write_settings
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.connection_test import checked_endpoint, test_and_describe
from ingest_ray.service.endpoints.templates import descriptor_of
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.listing import configure_units
from ingest_ray.service.units.rules import RuleFault

WRITTEN_AT = "ingest-ray copy"


class CopyRequest(Model):
    """`source`, `target`: addresses. `password`, `target_password`: secrets or references to them. `tables`: names or patterns; none: all."""

    source: str
    target: str
    tables: tuple[str, ...] = ()
    password: str | None = None
    target_password: str | None = None
    cursor: str | None = None
    key: tuple[str, ...] = ()
    is_full: bool = False


class CopyProject(Model):
    """What a copy runs."""

    home: str
    endpoint_id: str
    sink_id: str
    target: str
    choices: tuple[CopyChoice, ...] = ()
    warnings: tuple[str, ...] = ()


def open_project(home: Path | None, file: Path | None = None) -> Installation:
    """The installation of `home`, else of the settings in `file`, else of the folder of this process; made at the first call.

    Raises:
        ConfigError: `file` or the folder's `ingest.yaml` has a project, which a copy would change behind its back.
    """
    if home is not None:
        settings = settings_without_file(home)
    elif file is not None:
        config = load_config(file)
        if config.endpoints or config.sinks or config.rules:
            raise _has_a_project(f"{file} has a project of its own", str(file))
        settings = config.settings
    elif Path(FILE).is_file():
        raise _has_a_project(f"this folder has a project of its own: ./{FILE}", FILE)
    else:
        settings = settings_without_file()
    write_settings(settings)
    return Installation(settings)


def _has_a_project(message: str, file: str) -> ConfigError:
    return ConfigError(
        message, hint=f"add the source, the sink and the units to {file}, or give the copy a home: --home DIR"
    )


def prepare_copy(installation: Installation, request: CopyRequest) -> CopyProject:
    """Registers and collects; reads no rows.

    Raises:
        ConfigError: an address, a table, or a named column is wrong.
        ConnectionTestFailed: the source or the target cannot be used; nothing was registered.
        SourceError: the source does not answer any more.
    """
    here = Path.cwd()
    source = source_endpoint(request.source, request.password, here)
    target = target_endpoint(request.target, request.target_password, here)
    source, target = register(installation, source, target)
    collected = collect(installation, source.endpoint_id)
    with installation.catalog.read() as connection:
        found = dataset_versions.current(connection, source.endpoint_id)
    datasets = {dataset.name: dataset for dataset in select_datasets(found, request.tables)}
    _check_columns(request, list(datasets.values()))
    is_merged = can_upsert(target.template)
    choices = [
        choose(each, request.cursor, request.key, is_full=request.is_full, is_merged=is_merged)
        for each in datasets.values()
    ]
    warnings = list(collected.warnings)
    rules = [rule_of(each, source.endpoint_id, target.endpoint_id, datasets[each.unit_id]) for each in choices]
    warnings += configure(installation, rules)
    return CopyProject(
        home=installation.settings.home,
        endpoint_id=source.endpoint_id,
        sink_id=target.endpoint_id,
        target=request.target,
        choices=tuple(choices),
        warnings=tuple(warnings),
    )


def register(installation: Installation, source: Endpoint, target: Endpoint) -> tuple[Endpoint, Endpoint]:
    """Tests both, and saves them. Raises `ConnectionTestFailed`, `ConfigError`."""
    checked = [
        checked_endpoint(installation, each.endpoint_id, each.template, each.config) for each in (source, target)
    ]
    about = [test_and_describe(installation, each, EndpointDescription()) for each in checked]
    with installation.catalog.begin(is_alone=True) as connection:
        registered = _save(connection, installation, checked[0], about[0], "source")
        return registered, _save(connection, installation, checked[1], about[1], "sink")


def _save(
    connection: sa.Connection, installation: Installation, endpoint: Endpoint, about: EndpointDescription, role: Role
) -> Endpoint:
    """Under the id of the entry that has the same address, else under its own id or, where that is taken, with a number behind it."""
    _, descriptor = descriptor_of(endpoint.template)
    entries = {entry.endpoint.endpoint_id: entry for entry in endpoints.listed(connection)}
    same = next(
        (entry for entry in entries.values() if entry.role == role and _is_same(entry.endpoint, endpoint)), None
    )
    endpoint_id = same.endpoint.endpoint_id if same is not None else _free_id(endpoint.endpoint_id, entries)
    before = same.endpoint.config if same is not None else {}
    config = seal({**before, **endpoint.config}, descriptor.config_model, installation.settings, previous=before)
    saved = endpoint.model_copy(update={"endpoint_id": endpoint_id, "config": config})
    if same is None or same.endpoint != saved:
        endpoints.save(connection, Registration(endpoint=saved, role=role, vendor=descriptor.vendor, about=about))
    return saved


def _is_same(one: Endpoint, other: Endpoint) -> bool:
    return one.template == other.template and _address(one) == _address(other)


def _address(endpoint: Endpoint) -> list[str]:
    """Where the endpoint is, without its login's password."""
    values = (endpoint.config.get(name) for name in ("url", "uri", "path"))
    shown = (value.get(SHOWN) if isinstance(value, dict) else value for value in values)
    return [shown_url(text).replace(":***@", "@") for text in shown if isinstance(text, str)]


def _free_id(wanted: str, taken: Collection[str]) -> str:
    return next(name for n in count(1) if (name := wanted if n == 1 else f"{wanted}-{n}") not in taken)


def _check_columns(request: CopyRequest, datasets: Sequence[Dataset]) -> None:
    """Raises `ConfigError` for a column that no table has."""
    named = {"--cursor": [request.cursor] if request.cursor else [], "--key": list(request.key)}
    for option, columns in named.items():
        for column in columns:
            if not any(dataset.column(column) is not None for dataset in datasets):
                known = sorted({each.name for dataset in datasets for each in dataset.columns})
                raise ConfigError(
                    f"{option}: no table that is copied has a column '{column}'",
                    hint=f"columns: {', '.join(known[:30])}",
                )


def configure(installation: Installation, new: Sequence[UnitRule]) -> list[str]:
    """Writes the rules, each in the place of its unit's earlier one; returns what keeps rules from being applied."""
    replaced = {UnitRef(rule.endpoint, rule.unit) for rule in new}
    with installation.catalog.begin(is_alone=True) as connection:
        kept = [
            rule
            for rule in unit_configs.rules(connection)
            if UnitRef(str(rule.document["endpoint"]), str(rule.document["unit"])) not in replaced
        ]
        added = [
            StoredRule(document=rule.model_dump(mode="json", exclude_unset=True), written_at=WRITTEN_AT) for rule in new
        ]
        unit_configs.replace_rules(connection, [*kept, *added])
        faults: list[RuleFault] = []
        list(configure_units(connection, faults, []))
    return [fault.message for fault in faults]
