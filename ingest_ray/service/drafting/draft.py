"""Looks at a source and a target, in an installation that is thrown away, and chooses how each unit is read."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from pydantic import BaseModel, Field, JsonValue

from ingest_ray.catalog import dataset_versions
from ingest_ray.config import UnitRule
from ingest_ray.config.document import EndpointEntry
from ingest_ray.config.loading import absolute_endpoint, settings_without_file
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint, Model, RunMode
from ingest_ray.sdk.url_credentials import credentials_of, shown_url
from ingest_ray.secrets import is_reference
from ingest_ray.secrets.fields import map_secrets, spelled
from ingest_ray.service.copying.addresses import source_endpoint, target_endpoint
from ingest_ray.service.copying.copy import configure, register
from ingest_ray.service.copying.rules import CopyChoice, choose, rule_of, select_datasets
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.templates import descriptor_of
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.listing import UnitView, list_units
from ingest_ray.service.units.policies.unfit_units import UnfitUnit, unfit_units


class DraftRequest(Model):
    """`source`: an address, or with `template` none and its fields in `options`. `tables`: names or patterns; none: all."""

    source: str | None = None
    template: str | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)
    endpoint_id: str | None = None
    target: str = "./lake"
    tables: tuple[str, ...] = ()
    password: str | None = None
    target_password: str | None = None


class DraftUnit(Model):
    """`fault`: why the unit is not enabled."""

    rule: UnitRule
    choice: CopyChoice
    estimated_rows: int | None = None
    fault: str | None = None


class Draft(Model):
    """`variables`: of the environment, which the file refers to."""

    source: Endpoint
    sink: Endpoint
    units: tuple[DraftUnit, ...] = ()
    warnings: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


class _Login(Model):
    """An address without its password; `written`: the reference in the file; `used`: what this process logs in with."""

    address: str
    written: str | None
    used: str | None


def draft(request: DraftRequest, folder: Path) -> Draft:
    """Reads metadata, no rows. `folder`: of relative paths.

    Raises:
        ConfigError: an address, a field or a table is wrong.
        ConnectionTestFailed: the source or the target cannot be used.
        SourceError: the source does not answer any more.
    """
    source, source_file = _source(request, folder)
    login = _login(request.target, request.target_password, "TARGET_PASSWORD")
    sink = target_endpoint(login.address, login.used, folder)
    sink_file = _with_password(sink, login.written)
    with tempfile.TemporaryDirectory(prefix="ingest-ray-") as home:
        installation = Installation(settings_without_file(Path(home) / "home"))
        try:
            units, warnings, registered = _choose_units(installation, source, sink, request.tables)
        finally:
            installation.catalog.close()
    found = [source_file.model_copy(update={"endpoint_id": registered[0]})]
    found += [sink_file.model_copy(update={"endpoint_id": registered[1]})]
    return Draft(
        source=found[0],
        sink=found[1],
        units=tuple(units),
        warnings=tuple(warnings),
        variables=tuple(dict.fromkeys(name for each in found for name in _variables(each.config))),
    )


def _source(request: DraftRequest, folder: Path) -> tuple[Endpoint, Endpoint]:
    """As it is used now, and as it is written."""
    if request.template is None:
        if request.source is None:
            raise ConfigError("SOURCE is missing", hint="an address, or --template NAME; ingest-ray templates")
        login = _login(request.source, request.password, "SOURCE_PASSWORD")
        used = source_endpoint(login.address, login.used, folder)
        used = used.model_copy(update={"endpoint_id": request.endpoint_id or used.endpoint_id})
        return used, _with_password(used, login.written)
    role, descriptor = descriptor_of(request.template)
    if role != "source":
        raise ConfigError(f"--template: '{request.template}' is a sink; its address belongs to --to")
    config = dict(request.options)
    if request.source is not None:
        field = next((name for name in ("base_url", "url", "path") if name in descriptor.config_model.model_fields), "")
        config = {field: request.source, **config}
    name = request.endpoint_id or re.sub(r"[^a-z0-9]+", "-", descriptor.vendor.lower()).strip("-") or "source"
    entry = EndpointEntry(id=name, template=request.template, config=config)
    endpoint = absolute_endpoint(entry, folder, is_sink=False)
    return endpoint, _without_secrets(endpoint, descriptor.config_model)


def _without_secrets(endpoint: Endpoint, model: type[BaseModel]) -> Endpoint:
    """The file refers to variables of the environment: `JIRA_API_TOKEN`."""

    def written(field: tuple[str | int, ...], value: JsonValue, is_url: bool) -> JsonValue:
        if not isinstance(value, str) or is_reference(value):
            return value
        return "env:" + re.sub(r"[^A-Z0-9]+", "_", f"{endpoint.endpoint_id}_{spelled(field)}".upper()).strip("_")

    return endpoint.model_copy(update={"config": map_secrets(model, endpoint.config, written)})


def _login(address: str, password: str | None, variable: str) -> _Login:
    """A password in the address is used now, and not written: the file refers to a variable in its place."""
    plain = re.sub(r"(//[^:/@?#\s]+):.*@", r"\1@", address, flags=re.DOTALL)
    if credentials_of(plain):
        raise ConfigError(
            f"'{shown_url(address)}' has a secret that ingest.yaml cannot have",
            hint="--password env:NAME, --set FIELD=env:NAME",
        )
    secrets = credentials_of(address)
    if secrets and password is None:
        return _Login(address=plain, written=f"env:{variable}", used=unquote(secrets[0]))
    is_literal = password is not None and not is_reference(password)
    return _Login(address=plain, written=f"env:{variable}" if is_literal else password, used=password)


def _with_password(endpoint: Endpoint, written: str | None) -> Endpoint:
    return endpoint.model_copy(update={"config": {**endpoint.config, **({"password": written} if written else {})}})


def _variables(config: object) -> list[str]:
    if isinstance(config, dict):
        return [name for value in config.values() for name in _variables(value)]
    return [config.removeprefix("env:")] if isinstance(config, str) and config.startswith("env:") else []


def _choose_units(
    installation: Installation, source: Endpoint, sink: Endpoint, tables: Sequence[str]
) -> tuple[list[DraftUnit], list[str], tuple[str, str]]:
    source, sink = register(installation, source, sink)
    warnings = list(collect(installation, source.endpoint_id).warnings)
    with installation.catalog.read() as connection:
        datasets = {each.dataset_id: each for each in dataset_versions.current(connection, source.endpoint_id)}
    if not datasets:
        raise ConfigError(
            "the source has nothing that can be ingested", hint="look at its schemas and at the login's rights"
        )
    chosen = {each.name for each in select_datasets(list(datasets.values()), tables)}
    units: dict[str, DraftUnit] = {}
    for view in list_units(installation, source.endpoint_id).units:
        dataset = datasets[view.dataset_id]
        if dataset.name in chosen:
            choice = _own_choice(view) or choose(dataset, None, (), is_full=False)
            rule = rule_of(choice, source.endpoint_id, sink.endpoint_id, dataset)
            if view.default_policy:  # the strategy knows its cursor
                mode = RunMode.INCREMENTAL if RunMode.INCREMENTAL in view.supported_modes else RunMode.FULL
                rule = _changed(rule, run_mode=mode, policy={})
            units[view.unit_id] = DraftUnit(rule=rule, choice=choice, estimated_rows=dataset.estimated_rows)
    _disable_unfit(installation, units, [rule.rule for rule in units.values()])
    return list(units.values()), warnings, (source.endpoint_id, sink.endpoint_id)


def _own_choice(view: UnitView) -> CopyChoice | None:
    cursor = view.default_policy.get("cursor")
    return CopyChoice(unit_id=view.unit_id, cursor=cursor, key=view.primary_key) if isinstance(cursor, str) else None


def _disable_unfit(installation: Installation, units: dict[str, DraftUnit], rules: list[UnitRule]) -> None:
    """A unit that does not fit incrementally is read as a whole; one that does not fit at all is not enabled."""
    for unfit in _unfit(installation, rules):
        unit = units[unfit.unit_id]
        reason = f"not by {unit.choice.cursor}: {unfit.message}" if unit.choice.cursor else unfit.message
        whole = unit.choice.model_copy(update={"cursor": None, "reason": reason})
        units[unfit.unit_id] = unit.model_copy(
            update={"rule": _changed(unit.rule, run_mode=RunMode.FULL, policy={}), "choice": whole}
        )
    for unfit in _unfit(installation, [unit.rule for unit in units.values()]):
        unit = units[unfit.unit_id]
        fault = unfit.message + (f"; {unfit.hint}" if unfit.hint else "")
        units[unfit.unit_id] = unit.model_copy(update={"rule": _changed(unit.rule, enabled=False), "fault": fault})


def _unfit(installation: Installation, rules: Sequence[UnitRule]) -> list[UnfitUnit]:
    configure(installation, rules)
    with installation.catalog.read() as connection:
        return unfit_units(connection, installation.settings)


def _changed(rule: UnitRule, **values: object) -> UnitRule:
    """With the fields that were written, and these."""
    return UnitRule.model_validate({**rule.model_dump(exclude_unset=True), **values})
