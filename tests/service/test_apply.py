"""`apply` brings the catalog to the state of the file, returns the changes, and changes nothing the second time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest_ray.catalog import endpoints, unit_configs
from ingest_ray.catalog.tables import tables
from ingest_ray.config import load_config
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.secrets import resolve
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.installation import Installation
from tests.service.workspace import Workspace, change_lines


def test_applying_twice_changes_nothing(workspace: Workspace) -> None:
    assert change_lines(workspace.apply()) == ["+ endpoint shop", "+ sink lake", "+ rule shop:*"]
    assert workspace.apply().changes == ()
    assert workspace.calls() == []


def test_a_secret_that_stays_the_same_is_no_change_and_a_new_one_is(workspace: Workspace) -> None:
    workspace.source["password"] = "hunter2-first"
    workspace.apply()
    assert workspace.apply().changes == ()
    workspace.source["password"] = "hunter2-second"
    (change,) = workspace.apply().changes
    assert (change.action, change.id, change.fields) == ("~", "shop", ("password",))


def test_a_dry_run_shows_the_same_changes_and_leaves_no_trace(workspace: Workspace) -> None:
    workspace.source["password"] = "hunter2"
    before = workspace.apply(dry_run=True)
    assert sorted(os.listdir(workspace.folder)) == ["ingest.yaml"]
    assert change_lines(before) == change_lines(workspace.apply())
    workspace.source["now"] = 2000
    assert change_lines(workspace.apply(dry_run=True)) == ["~ endpoint shop"]
    assert change_lines(workspace.apply()) == ["~ endpoint shop"]


def test_what_the_file_no_longer_has_is_removed(workspace: Workspace) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.document |= {"endpoints": [], "units": []}
    assert change_lines(workspace.apply()) == [
        "- endpoint shop",
        "- rule shop:*",
        "- unit shop:numbers-1x1000",
        "- unit shop:numbers-2x300",
    ]
    with workspace.installation.catalog.read() as connection:
        assert [entry.endpoint.endpoint_id for entry in endpoints.listed(connection)] == ["lake"]


def test_patterns_become_units_once_the_catalog_has_them_and_later_rules_win_field_by_field(
    workspace: Workspace,
) -> None:
    workspace.document["units"].append(
        {"endpoint": "shop", "unit": "numbers-2*", "run_mode": "incremental", "policy": {"cursor": "at"}}
    )
    workspace.document["units"].append({"endpoint": "shop", "unit": "numbers-2x300", "policy": {"lookback": "10m"}})
    workspace.apply()
    assert collect(workspace.installation, "shop").configured == ("+ shop:numbers-1x1000", "+ shop:numbers-2x300")
    with workspace.installation.catalog.read() as connection:
        one, two = [item.config for item in unit_configs.listed(connection)]
    assert (one.run_mode, one.enabled, one.policy.cursor) == ("FULL", True, None)
    assert (two.run_mode, two.enabled, two.policy.cursor, two.policy.lookback) == ("INCREMENTAL", True, "at", 600)
    workspace.document["units"].append({"endpoint": "shop", "unit": "numbers-1x1000", "enabled": False})
    (_, change) = workspace.apply().changes
    assert (change.action, change.kind, change.id, change.fields) == ("~", "unit", "shop:numbers-1x1000", ("enabled",))


def test_an_exact_unit_that_a_collected_endpoint_does_not_have_is_an_error_with_its_line(workspace: Workspace) -> None:
    workspace.document["units"] = [{"endpoint": "shop", "unit": "nambers", "sink": "lake"}]
    workspace.apply()
    found = collect(workspace.installation, "shop")
    assert "no unit 'nambers'" in found.warnings[0]
    with pytest.raises(ConfigError, match=r"ingest\.yaml:\d+: endpoint 'shop' has no unit 'nambers'"):
        workspace.apply()


def test_a_failed_apply_changes_nothing(workspace: Workspace) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.source["now"] = 7
    workspace.document["units"].append({"endpoint": "shop", "unit": "missing", "sink": "lake"})
    with pytest.raises(ConfigError):
        workspace.apply()
    with workspace.installation.catalog.read() as connection:
        assert "now" not in endpoints.source(connection, "shop").endpoint.config
        assert len(unit_configs.rules(connection)) == 1


def test_a_rule_without_a_sink_is_an_error(workspace: Workspace) -> None:
    workspace.document["units"] = [{"endpoint": "shop", "unit": "*"}]
    workspace.apply()
    assert "has no sink" in collect(workspace.installation, "shop").warnings[0]


def test_settings_are_left_in_the_home_for_commands_in_other_folders(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest_ray.config import load_settings

    workspace.apply()
    (workspace.folder / "elsewhere").mkdir()
    monkeypatch.chdir(workspace.folder / "elsewhere")
    with pytest.raises(ConfigError, match="no configuration"):
        load_settings()
    monkeypatch.setenv("INGEST_HOME", str(workspace.folder / ".ingest-ray"))
    assert load_settings() == workspace.installation.settings
    assert Path(workspace.installation.settings.home, "settings.json").stat().st_mode & 0o077 == 0


def test_a_file_that_is_applied_again_writes_nothing(workspace: Workspace) -> None:
    workspace.source["password"] = "hunter2-again"
    workspace.apply()
    collect(workspace.installation, "shop")
    home = Path(workspace.installation.settings.home)
    before = _contents(workspace.installation), {file.name: file.stat().st_mtime_ns for file in home.glob("*.[jk]*")}
    assert workspace.apply().changes == ()
    assert (
        _contents(workspace.installation),
        {file.name: file.stat().st_mtime_ns for file in home.glob("*.[jk]*")},
    ) == before


def _contents(installation: Installation) -> dict[str, list[tuple[object, ...]]]:
    with installation.catalog.read() as connection:
        return {
            name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for name, table in tables.tables.items()
        }


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def shared(workspace: Workspace, request: pytest.FixtureRequest) -> Workspace:
    if request.param == "postgres":
        workspace.document["state"] = request.getfixturevalue("postgres_url")
    return workspace


def test_many_that_apply_the_same_file_at_once_make_it_once(shared: Workspace) -> None:
    shared.source["password"] = "hunter2-at-once"
    shared.document["units"].append({"endpoint": "shop", "unit": "numbers-2*", "enabled": False})
    file = shared.write()
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: apply(load_config(file)), range(6)))
    all_lines = [line for applied in done for line in change_lines(applied)]
    assert sorted(all_lines) == ["+ endpoint shop", "+ rule shop:*", "+ rule shop:numbers-2*", "+ sink lake"]
    assert shared.apply().changes == ()
    installation = shared.installation
    with installation.catalog.read() as connection:
        stored = endpoints.source(connection, "shop").endpoint
        assert resolve(stored, installation.settings).config["password"] == "hunter2-at-once"
        assert len(unit_configs.rules(connection)) == 2
    installation.catalog.close()
