"""Ids with the characters of patterns, and what a launch of one unit costs where an endpoint has many."""

import sqlite3
from typing import Any

import pytest

from ingest_ray.catalog import unit_configs
from ingest_ray.sdk.types import Dataset, UnitConfig
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from tests.service.workspace import ALL, Workspace

NAMES = ("q?", "qa", "q[1]", "q1")


def tables(workspace: Workspace, names: Any) -> None:
    file = workspace.folder / "shop.db"
    connection = sqlite3.connect(file)
    for name in names:
        connection.execute(f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY)')
    connection.close()
    workspace.document["endpoints"] = [{"id": "shop", "template": "jdbc.sqlite", "config": {"path": str(file)}}]


def configured(workspace: Workspace, *rules: dict[str, Any]) -> list[str]:
    workspace.document["units"] = [{**ALL, **rule} for rule in rules]
    workspace.apply()
    collect(workspace.installation, "shop")
    with workspace.installation.catalog.read() as connection:
        return [item.config.unit_id for item in unit_configs.listed(connection)]


def test_a_rule_can_name_one_unit_whose_id_has_the_characters_of_a_pattern(workspace: Workspace) -> None:
    tables(workspace, NAMES)
    assert configured(workspace, {"unit": "q?"}) == ["q1", "q?", "qa"]
    assert configured(workspace, {"unit": "q?", "match": "exact"}) == ["q?"]
    assert configured(workspace, {"unit": "q[?]"}) == ["q?"]
    assert configured(workspace, {"unit": "q[1]", "match": "exact"}) == ["q[1]"]
    found = collect(workspace.installation, "shop")
    assert (found.warnings, found.unfit) == ((), ())
    assert [unit.unit_id for unit in run(workspace.installation, "shop").units] == ["q[1]"]


def test_an_exact_rule_for_a_unit_that_does_not_exist_is_a_fault(workspace: Workspace) -> None:
    tables(workspace, ("qa",))
    workspace.document["units"] = [{**ALL, "unit": "q*", "match": "exact"}]
    workspace.apply()
    assert "no unit 'q*'" in collect(workspace.installation, "shop").warnings[0]


def test_a_run_of_one_unit_parses_only_its_own_datasets_and_configurations(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables(workspace, [f"t{n:03}" for n in range(150)])
    workspace.apply()
    collect(workspace.installation, "shop")
    parsed: list[object] = []
    for kind in (Dataset, UnitConfig):
        validate = kind.model_validate_json

        def counted(document: Any, validate: Any = validate) -> Any:
            parsed.append(document)
            return validate(document)

        monkeypatch.setattr(kind, "model_validate_json", counted)
    run(workspace.installation, "shop", ["t007"])
    assert len(parsed) < 12


def test_collecting_again_keeps_what_was_found_and_dates_it(workspace: Workspace) -> None:
    tables(workspace, [f"t{n}" for n in range(3)])
    workspace.apply()
    first = collect(workspace.installation, "shop").differences
    second = collect(workspace.installation, "shop").differences
    assert (first.added, second.added, second.changed, second.found) == (("t0", "t1", "t2"), (), (), 3)
    from ingest_ray.catalog import dataset_versions

    with workspace.installation.catalog.read() as connection:
        version = dataset_versions.find(connection, "shop", "t1")
        other = dataset_versions.find(connection, "shop", "t2")
    assert version is not None
    assert other is not None
    assert version.last_seen_at == other.last_seen_at > version.first_seen_at
