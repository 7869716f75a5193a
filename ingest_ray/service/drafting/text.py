"""The text of a drafted `ingest.yaml`: one line a unit, and comments that say why."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten

import yaml
from pydantic import JsonValue

from ingest_ray.config import FILE
from ingest_ray.config.variables import without_variables
from ingest_ray.sdk.types import Endpoint
from ingest_ray.service.copying.rules import CHANGE_COLUMNS
from ingest_ray.service.drafting.draft import Draft, DraftUnit
from ingest_ray.service.units.rules import is_pattern


def text_of(draft: Draft, folder: Path, file: str) -> str:
    """`folder`, `file`: where the file will be; paths below it are written relative to it."""
    return "\n".join([*_head(draft, file), *_endpoints(draft, folder), *_units(draft)]) + "\n"


def _head(draft: Draft, file: str) -> Iterator[str]:
    option = "" if file == FILE else f" -c {file}"
    yield "# Made by ingest-ray init from what the source has. Change it as you like; then:"
    for name in draft.variables:
        yield f"#   export {name}=..."
    yield f"#   ingest-ray apply{option}                   registers what this file says"
    yield f"#   ingest-ray collect {draft.source.endpoint_id}{option}"
    yield f"#   ingest-ray run {draft.source.endpoint_id}{option}"
    yield "# Every key: docs/configuration.md; every option of an endpoint: ingest-ray templates NAME"
    yield ""
    yield "home: .ingest-ray    # state, staging, quarantine and logs; keep it, and do not put it into git"
    yield ""


def _endpoints(draft: Draft, folder: Path) -> Iterator[str]:
    for section, endpoint in (("endpoints", draft.source), ("sinks", draft.sink)):
        yield f"{section}:"
        yield f"  - id: {_flow(endpoint.endpoint_id)}"
        yield f"    template: {endpoint.template}"
        yield "    config:"
        for name, value in _relative(endpoint, folder).items():
            yield f"      {name}: {_flow(value)}"
        yield ""


def _units(draft: Draft) -> Iterator[str]:
    yield "units:"
    yield from _later_tables(draft)
    for unit in draft.units:
        yield f"  # {_reason(unit)}"
        yield f"  - {_flow(_document(unit))}"


def _later_tables(draft: Draft) -> Iterator[str]:
    if not any(
        unit.choice.cursor or not unit.choice.key for unit in draft.units
    ) or not draft.source.template.startswith("jdbc."):
        return
    names = ", ".join(dict.fromkeys([*(u.choice.cursor for u in draft.units if u.choice.cursor), *CHANGE_COLUMNS[:2]]))
    yield "  # To take tables that are added later, too (rules below overrule it):"
    yield (
        f'  # - {{endpoint: {draft.source.endpoint_id}, unit: "*", sink: {draft.sink.endpoint_id}, enabled: true, '
        f"run_mode: INCREMENTAL, policy: {{cursor: [{names}], fallback: full}}}}"
    )


def _reason(unit: DraftUnit) -> str:
    """One line. Names of a source may hold line breaks, which would end the comment."""
    rows = f"about {unit.estimated_rows:,} rows; " if unit.estimated_rows else ""
    if unit.fault is not None:
        text = f"not enabled: {unit.fault}"
    elif unit.choice.cursor is not None:
        text = f"rows that changed, by {unit.choice.cursor}; key: {', '.join(unit.choice.key) or 'none'}"
    else:
        text = f"the whole table with every run: {unit.choice.reason}"
    printable = "".join(each if each.isprintable() else " " for each in rows + text)
    return shorten(printable, 300, placeholder=" ...")


def _document(unit: DraftUnit) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = unit.rule.model_dump(mode="json", exclude_unset=True)
    if not is_pattern(unit.rule.unit):
        found.pop("match", None)
    if not found.get("policy"):
        found.pop("policy", None)
    return found


def _relative(endpoint: Endpoint, folder: Path) -> dict[str, JsonValue]:
    def shown(value: JsonValue) -> JsonValue:
        if not isinstance(value, str):
            return value
        prefix, path = (
            ("sqlite:///", value.removeprefix("sqlite:///")) if value.startswith("sqlite:///") else ("", value)
        )
        if not path.startswith("/"):
            return value
        below = os.path.relpath(path, folder)
        return value if below.startswith("..") else prefix + ("" if prefix else "./") + below

    return {name: shown(value) for name, value in endpoint.config.items()}


def _flow(value: JsonValue) -> str:
    """YAML in one line: `{endpoint: shop, unit: public.orders}`. Every text is read back as it is."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        is_plain = value.replace("_", "").replace(".", "").replace("-", "").isalnum() and value.isascii()
        return value if is_plain and yaml.safe_load(value) == value else json.dumps(without_variables(value))
    return json.dumps(value)
