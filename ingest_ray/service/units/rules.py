"""Expands rules to configurations: patterns select units, and later rules override earlier ones field by field. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ingest_ray.catalog.unit_configs import StoredRule
from ingest_ray.config import UnitRule
from ingest_ray.config.document import Match
from ingest_ray.config.table_template import filled
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import CdmSettings, DataMode, Model, Policy, Unit, UnitConfig

_WILD = re.compile(r"[*?\[]")


ParsedRule = tuple[UnitRule, str]
"""A rule and its line."""


class RuleFault(Model):
    """A rule that does not apply to a unit, in words with its line. `unit`: where the catalog has it."""

    message: str
    hint: str
    unit: UnitRef | None = None


class ExpandedRules(NamedTuple):
    """`skipped`: units in CDM mode without a mapper, which only patterns select."""

    configs: dict[UnitRef, UnitConfig]
    faults: list[RuleFault]
    skipped: list[UnitRef]


def _matching(rule: UnitRule, units: Mapping[str, Sequence[Unit]], offered: Mapping[UnitRef, Unit]) -> list[str]:
    """The units of the rule's endpoint that it selects; a rule that names one unit looks it up."""
    if rule.match == "exact" or not is_pattern(rule.unit):
        return [rule.unit] if UnitRef(rule.endpoint, rule.unit) in offered else []
    return [unit.unit_id for unit in units.get(rule.endpoint, ()) if is_match(rule.unit, unit.unit_id, rule.match)]


def expand_rules(
    rules: Sequence[StoredRule],
    units: Mapping[str, Sequence[Unit]],
    names: Mapping[UnitRef, Mapping[str, str]],
    has_mapper: Callable[[Unit], bool] = lambda unit: True,
) -> ExpandedRules:
    """The configuration of every unit that a rule selects, and the rules that cannot be applied: one names a unit that its
    collected endpoint does not have, or no rule of a unit names a sink. `units`: of the collected endpoints, by endpoint;
    `names`: what a unit's template for its table is filled with."""
    written: dict[UnitRef, list[ParsedRule]] = {}
    faults: list[RuleFault] = []
    offered = {UnitRef(endpoint, unit.unit_id): unit for endpoint, found in units.items() for unit in found}
    for stored in rules:
        rule = UnitRule.model_validate(stored.document)
        matching = _matching(rule, units, offered)
        is_exact = rule.match == "exact" or not is_pattern(rule.unit)
        if not matching and rule.endpoint in units and (is_exact or units[rule.endpoint]):
            has_none = f"has no unit '{rule.unit}'" if is_exact else f"has no unit that matches '{rule.unit}'"
            message = f"{stored.written_at}: endpoint '{rule.endpoint}' {has_none}"
            similar = get_close_matches(rule.unit, [unit.unit_id for unit in units[rule.endpoint]], n=3)
            near = f"did you mean '{similar[0]}'? " if similar else ""
            hint = f"{near}ingest-ray units {rule.endpoint} shows what there is; collect again if it is new"
            faults.append(RuleFault(message=message, hint=hint))
        for unit_id in matching:
            written.setdefault(UnitRef(rule.endpoint, unit_id), []).append((rule, stored.written_at))
    configs: dict[UnitRef, UnitConfig] = {}
    skipped: list[UnitRef] = []
    for unit, found in written.items():
        try:
            config = _merged_config(offered[unit], found, names.get(unit, {}))
        except ConfigError as error:
            faults.append(RuleFault(message=error.message, hint=error.hint or "", unit=unit))
            continue
        is_mapped = config.mode is not DataMode.CDM or config.cdm.models or has_mapper(offered[unit])
        if is_mapped or any(rule.unit == unit.unit_id for rule, _ in found):
            configs[unit] = config
        else:
            skipped.append(unit)
    return ExpandedRules(configs, faults, skipped)


def is_pattern(text: str) -> bool:
    return _WILD.search(text) is not None


def is_match(pattern: str, unit_id: str, match: Match = "pattern") -> bool:
    """A unit's own id always matches, also where it contains wildcard characters; with `exact`, nothing else does."""
    return pattern == unit_id or (match == "pattern" and fnmatchcase(unit_id, pattern))


def _merged_config(unit: Unit, rules: Sequence[ParsedRule], names: Mapping[str, str]) -> UnitConfig:
    values: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    cdm: dict[str, Any] = {}
    for rule, _ in rules:
        values |= {name: getattr(rule, name) for name in rule.model_fields_set if getattr(rule, name) is not None}
        if rule.schedule is not None:  # one way to say when takes the place of the other
            values.pop("schedule_minutes", None)
        if rule.schedule_minutes is not None:
            values.pop("schedule", None)
        written = rule.policy.model_fields_set
        if "cursor" in written:  # one cursor takes the place of earlier candidates, and the other way round
            policy.pop("cursors", None)
        if "cursors" in written:
            policy.pop("cursor", None)
        merged = {
            name: {**policy.get(name, {}), **getattr(rule.policy, name)}
            for name in ("mask", "rename")
            if name in written
        }
        policy |= {name: getattr(rule.policy, name) for name in written} | merged
        cdm |= {name: getattr(rule.cdm, name) for name in rule.cdm.model_fields_set}
    mode = values.get("mode", DataMode.RAW)
    sink = values.get("sink") or (values.get("sink_endpoint") if mode is DataMode.CDM else None)
    if sink is None:
        raise ConfigError(
            f"{rules[-1][1]}: unit '{unit.ref}' has no sink",
            hint="add sink: ID to its rule, or in CDM mode sink_endpoint: ID",
        )
    minutes, calendar = values.get("schedule_minutes"), values.get("schedule")
    return UnitConfig(
        endpoint_id=unit.endpoint_id,
        unit_id=unit.unit_id,
        sink_id=sink,
        enabled=values.get("enabled", False),
        run_mode=values.get("run_mode", unit.default_mode),
        mode=mode,
        sink_endpoint_id=values.get("sink_endpoint"),
        cdm=CdmSettings(**cdm),
        policy=Policy(**policy),
        table=_table_name(values.get("table"), unit, mode, names, rules[-1][1]),
        filters=values.get("filters", {}),
        schedule_kind="CRON" if calendar is not None else "MANUAL" if minutes is None else "INTERVAL",
        schedule_interval_minutes=minutes,
        schedule_calendar=calendar,
        task_schedules=values.get("schedules", ()),
    )


def _table_name(
    template: str | None, unit: Unit, mode: DataMode, names: Mapping[str, str], written_at: str
) -> str | None:
    """None in CDM mode, where tables are the models'. Raises `ConfigError` for a placeholder that the unit has no value for."""
    if template is None or mode is DataMode.CDM:
        return None
    try:
        return filled(template, {"table": unit.unit_id, **names, "endpoint": unit.endpoint_id, "unit": unit.unit_id})
    except ValueError as error:
        raise ConfigError(f"{written_at}: unit '{unit.ref}': table '{template}': {error}") from None
