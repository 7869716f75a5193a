"""Checks the expressions that map a unit's columns against its dataset, and locates each fault in `ingest.yaml`."""

from collections.abc import Iterator, Mapping, Sequence

import sqlalchemy as sa

from ingest_ray.catalog import dataset_versions, unit_configs
from ingest_ray.catalog.unit_configs import StoredRule
from ingest_ray.cdm.expressions import ExpressionFault, ExpressionMapper
from ingest_ray.config.document import Match
from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Dataset, UnitConfig
from ingest_ray.service.units.rules import is_match


def faults_of(config: UnitConfig, dataset: Dataset) -> list[ExpressionFault]:
    schema = schema_of(dataset, config.policy.columns or None)
    return list(ExpressionMapper(config.cdm, config.cdm.system or config.endpoint_id).find_faults(schema))


def check_mapping(config: UnitConfig, dataset: Dataset) -> None:
    """Raises `ConfigError`, naming unit, model and field."""
    if config.cdm.models:
        faults = [f"unit '{config.ref}': {_fault_text(fault)}" for fault in faults_of(config, dataset)]
        if faults:
            raise ConfigError("\n".join(faults))


def check_mappings(connection: sa.Connection, lines: Mapping[str, str]) -> None:
    """Checks all units whose datasets are known. Raises `ConfigError`: one fault a line, with file, line and field."""
    faults = mapping_faults(connection, lines)
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(text for texts in faults.values() for text in texts)))


def mapping_faults(connection: sa.Connection, lines: Mapping[str, str]) -> dict[UnitRef, list[str]]:
    """The faults of all units whose datasets are known, each with file, line and field."""
    rules = unit_configs.rules(connection)
    found = {
        item.config.ref: list(_located_faults(connection, item.config, rules, lines))
        for item in unit_configs.mapped(connection)
    }
    return {unit: texts for unit, texts in found.items() if texts}


def _located_faults(
    connection: sa.Connection, config: UnitConfig, rules: Sequence[StoredRule], lines: Mapping[str, str]
) -> Iterator[str]:
    version = dataset_versions.find(connection, config.endpoint_id, config.unit_id)
    if not config.cdm.models or version is None or version.gone_at is not None:
        return
    for fault in faults_of(config, version.dataset):
        number = _rule_of(config, rules)
        field = f"{number}.{fault.model_id}" + (f".{fault.field}" if fault.field else "")
        where = lines.get(field) or (rules[number].written_at if number is not None else "")
        yield f"{where}: units[{number}].cdm.models.{_fault_text(fault)}"


def _rule_of(config: UnitConfig, rules: Sequence[StoredRule]) -> int | None:
    """The number of the last rule with a mapping for the unit, which is the one that applies."""
    last = None
    for number, rule in enumerate(rules):
        document = rule.document
        match: Match = "exact" if document.get("match") == "exact" else "pattern"
        is_of_unit = document["endpoint"] == config.endpoint_id and is_match(
            str(document["unit"]), config.unit_id, match
        )
        cdm = document.get("cdm")
        if is_of_unit and isinstance(cdm, dict) and "models" in cdm:
            last = number
    return last


def _fault_text(fault: ExpressionFault) -> str:
    return f"{fault.model_id}{f'.{fault.field}' if fault.field else ''}: {fault.message}"
