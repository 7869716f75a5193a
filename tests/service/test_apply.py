"""`apply` makes the catalog what the file says, says what changed, and changes nothing the second time."""

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
from tests.service.lab import Lab, said


def test_applying_twice_changes_nothing(lab: Lab) -> None:
    assert said(lab.apply()) == ["+ endpoint shop", "+ sink lake", "+ rule shop:*"]
    assert lab.apply().changes == ()
    assert lab.calls() == []


def test_a_secret_that_stays_the_same_is_no_change_and_a_new_one_is(lab: Lab) -> None:
    lab.source["password"] = "hunter2-first"
    lab.apply()
    assert lab.apply().changes == ()
    lab.source["password"] = "hunter2-second"
    (change,) = lab.apply().changes
    assert (change.action, change.id, change.fields) == ("~", "shop", ("password",))


def test_a_dry_run_shows_the_same_changes_and_leaves_no_trace(lab: Lab) -> None:
    lab.source["password"] = "hunter2"
    before = lab.apply(dry_run=True)
    assert sorted(os.listdir(lab.folder)) == ["ingest.yaml"]
    assert said(before) == said(lab.apply())
    lab.source["now"] = 2000
    assert said(lab.apply(dry_run=True)) == ["~ endpoint shop"]
    assert said(lab.apply()) == ["~ endpoint shop"]


def test_what_the_file_no_longer_has_is_removed(lab: Lab) -> None:
    lab.apply()
    collect(lab.installation, "shop")
    lab.document |= {"endpoints": [], "units": []}
    assert said(lab.apply()) == [
        "- endpoint shop",
        "- rule shop:*",
        "- unit shop:numbers-1x1000",
        "- unit shop:numbers-2x300",
    ]
    with lab.installation.catalog.read() as connection:
        assert [entry.endpoint.endpoint_id for entry in endpoints.listed(connection)] == ["lake"]


def test_patterns_become_units_once_the_catalog_has_them_and_later_rules_win_field_by_field(lab: Lab) -> None:
    lab.document["units"].append(
        {"endpoint": "shop", "unit": "numbers-2*", "run_mode": "incremental", "policy": {"cursor": "at"}}
    )
    lab.document["units"].append({"endpoint": "shop", "unit": "numbers-2x300", "policy": {"lookback": "10m"}})
    lab.apply()
    assert collect(lab.installation, "shop").configured == ("+ shop:numbers-1x1000", "+ shop:numbers-2x300")
    with lab.installation.catalog.read() as connection:
        one, two = [item.config for item in unit_configs.listed(connection)]
    assert (one.run_mode, one.enabled, one.policy.cursor) == ("FULL", True, None)
    assert (two.run_mode, two.enabled, two.policy.cursor, two.policy.lookback) == ("INCREMENTAL", True, "at", 600)
    lab.document["units"].append({"endpoint": "shop", "unit": "numbers-1x1000", "enabled": False})
    (_, change) = lab.apply().changes
    assert (change.action, change.kind, change.id, change.fields) == ("~", "unit", "shop:numbers-1x1000", ("enabled",))


def test_an_exact_unit_that_a_collected_endpoint_does_not_have_is_an_error_with_its_line(lab: Lab) -> None:
    lab.document["units"] = [{"endpoint": "shop", "unit": "nambers", "sink": "lake"}]
    lab.apply()
    found = collect(lab.installation, "shop")
    assert "no unit 'nambers'" in found.warnings[0]
    with pytest.raises(ConfigError, match=r"ingest\.yaml:\d+: endpoint 'shop' has no unit 'nambers'"):
        lab.apply()


def test_a_failed_apply_changes_nothing(lab: Lab) -> None:
    lab.apply()
    collect(lab.installation, "shop")
    lab.source["now"] = 7
    lab.document["units"].append({"endpoint": "shop", "unit": "missing", "sink": "lake"})
    with pytest.raises(ConfigError):
        lab.apply()
    with lab.installation.catalog.read() as connection:
        assert "now" not in endpoints.source(connection, "shop").endpoint.config
        assert len(unit_configs.rules(connection)) == 1


def test_a_rule_without_a_sink_is_an_error(lab: Lab) -> None:
    lab.document["units"] = [{"endpoint": "shop", "unit": "*"}]
    lab.apply()
    assert "has no sink" in collect(lab.installation, "shop").warnings[0]


def test_settings_are_left_in_the_home_for_commands_in_other_folders(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest_ray.config import load_settings

    lab.apply()
    (lab.folder / "elsewhere").mkdir()
    monkeypatch.chdir(lab.folder / "elsewhere")
    with pytest.raises(ConfigError, match="no configuration"):
        load_settings()
    monkeypatch.setenv("INGEST_HOME", str(lab.folder / ".ingest-ray"))
    assert load_settings() == lab.installation.settings
    assert Path(lab.installation.settings.home, "settings.json").stat().st_mode & 0o077 == 0


def test_a_file_that_is_applied_again_writes_nothing(lab: Lab) -> None:
    lab.source["password"] = "hunter2-again"
    lab.apply()
    collect(lab.installation, "shop")
    home = Path(lab.installation.settings.home)
    before = _contents(lab.installation), {file.name: file.stat().st_mtime_ns for file in home.glob("*.[jk]*")}
    assert lab.apply().changes == ()
    assert (
        _contents(lab.installation),
        {file.name: file.stat().st_mtime_ns for file in home.glob("*.[jk]*")},
    ) == before


def _contents(installation: Installation) -> dict[str, list[tuple[object, ...]]]:
    with installation.catalog.read() as connection:
        return {
            name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for name, table in tables.tables.items()
        }


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def shared(lab: Lab, request: pytest.FixtureRequest) -> Lab:
    if request.param == "postgres":
        lab.document["state"] = request.getfixturevalue("postgres_url")
    return lab


def test_many_that_apply_the_same_file_at_once_make_it_once(shared: Lab) -> None:
    shared.source["password"] = "hunter2-at-once"
    shared.document["units"].append({"endpoint": "shop", "unit": "numbers-2*", "enabled": False})
    file = shared.write()
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: apply(load_config(file)), range(6)))
    said_by_all = [line for applied in done for line in said(applied)]
    assert sorted(said_by_all) == ["+ endpoint shop", "+ rule shop:*", "+ rule shop:numbers-2*", "+ sink lake"]
    assert shared.apply().changes == ()
    installation = shared.installation
    with installation.catalog.read() as connection:
        stored = endpoints.source(connection, "shop").endpoint
        assert resolve(stored, installation.settings).config["password"] == "hunter2-at-once"
        assert len(unit_configs.rules(connection)) == 2
    installation.catalog.close()
