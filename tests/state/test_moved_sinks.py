"""A checkpoint belongs to the place of its sink: where the sink is elsewhere, nothing is read or claimed until a person says what follows."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest_ray.config import load_config
from ingest_ray.kv.keys import unit_key
from ingest_ray.registry import sink_family, sink_templates
from ingest_ray.sdk.errors import ConnectionTestFailed, IngestError, SinkBehindState, TargetChanged
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Endpoint, RunState
from ingest_ray.secrets.locations import plain_address, sink_location
from ingest_ray.service.endpoints.apply import ApplyResult, apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.displaced_units import Displacement
from ingest_ray.service.runs import execution
from ingest_ray.service.runs.execution import RunReport
from ingest_ray.state import read_states
from tests.service.conftest import workspace
from tests.service.workspace import Workspace

__all__ = ["workspace"]

UNIT = UnitRef("shop", "numbers-1x1000")


@pytest.fixture
def loaded(workspace: Workspace) -> Workspace:
    """Two units that are loaded, the first one by a cursor."""
    workspace.document["units"].append(
        {"endpoint": "shop", "unit": UNIT.unit_id, "run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    )
    workspace.apply()
    collect(workspace.installation, "shop")
    assert run(workspace).state is RunState.SUCCEEDED
    workspace.calls()
    return workspace


def run(workspace: Workspace) -> RunReport:
    return execution.run(workspace.installation, "shop", [UNIT.unit_id])


def applied(workspace: Workspace, displaced: Displacement | None = None, dry_run: bool = False) -> ApplyResult:
    return apply(load_config(workspace.write()), displaced=displaced, dry_run=dry_run)


def location(workspace: Workspace) -> str:
    installation = workspace.installation
    return read_states(installation.kv, unit_key("testing", UNIT, "lake")).location


def to_other(workspace: Workspace) -> None:
    workspace.document["sinks"][0]["config"]["uri"] = "./other"


def test_apply_asks_what_follows_and_changes_nothing(loaded: Workspace) -> None:
    to_other(loaded)
    for dry_run in (True, False):
        with pytest.raises(
            TargetChanged, match=r"sink 'lake': 1 unit was loaded at '/.*/lake', .*'/.*/other': shop:numbers-1x1000"
        ):
            applied(loaded, dry_run=dry_run)
    loaded.document["sinks"][0]["config"]["uri"] = "./lake"
    assert applied(loaded).changes == ()
    assert run(loaded).state is RunState.SUCCEEDED
    assert loaded.rows(UNIT.unit_id) == 1000


def test_moved_tables_take_their_checkpoint_along(loaded: Workspace) -> None:
    to_other(loaded)
    shutil.move(loaded.folder / "lake", loaded.folder / "other")
    rehearsed = applied(loaded, "move", dry_run=True)
    assert [str(unit.ref) for unit in rehearsed.displaced] == [str(UNIT)]
    assert location(loaded).endswith("/lake")
    applied(loaded, "move")
    assert location(loaded).endswith("/other")
    report = run(loaded)
    assert (report.state, report.rows.read) == (RunState.SUCCEEDED, 0)
    assert applied(loaded, "move").displaced == ()


def test_a_move_without_the_tables_is_seen_by_the_next_run(loaded: Workspace) -> None:
    to_other(loaded)
    applied(loaded, "move")
    (unit,) = run(loaded).units
    assert unit.error is not None
    assert unit.error.code == SinkBehindState.code


def test_a_reload_begins_again_at_the_new_place(loaded: Workspace) -> None:
    to_other(loaded)
    applied(loaded, "reload")
    report = run(loaded)
    assert (report.state, report.rows.committed) == (RunState.SUCCEEDED, 1000)
    assert location(loaded).endswith("/other")
    assert (loaded.folder / "other" / "shop" / UNIT.unit_id).is_dir()
    assert applied(loaded).changes == ()


def test_a_sink_that_was_changed_past_apply_stops_plan_and_run(loaded: Workspace) -> None:
    from ingest_ray.catalog import endpoints

    installation = loaded.installation
    with installation.catalog.begin(is_alone=True) as connection:
        entry = endpoints.find(connection, "lake", "sink")
        assert entry is not None
        moved = entry.endpoint.model_copy(update={"config": {"uri": str(loaded.folder / "other")}})
        endpoints.save(connection, entry.model_copy(update={"endpoint": moved}))
    with pytest.raises(TargetChanged, match="loaded into the sink at"):
        execution.plan(installation, UNIT)
    with pytest.raises(TargetChanged) as caught:
        run(loaded)
    assert "apply --move" in (caught.value.hint or "")
    assert "apply --reload" in (caught.value.hint or "")
    assert loaded.calls() == []
    to_other(loaded)
    with pytest.raises(IngestError):  # nothing of the file changes, and nothing was settled
        run(loaded)
    applied(loaded, "reload")
    assert run(loaded).rows.committed == 1000


def test_a_checkpoint_of_an_older_version_is_settled_from_what_the_catalog_had(loaded: Workspace) -> None:
    kv, key = loaded.installation.kv, unit_key("testing", UNIT, "lake")
    found = kv.get(key)
    assert found is not None
    document, version = found
    kv.put(key, {name: value for name, value in document.items() if name != "location"}, version)
    assert location(loaded) == ""
    to_other(loaded)
    with pytest.raises(TargetChanged):
        applied(loaded)
    loaded.document["sinks"][0]["config"]["uri"] = "./lake"
    applied(loaded)
    assert run(loaded).state is RunState.SUCCEEDED
    assert location(loaded).endswith("/lake")  # recorded by the next run, also where nothing is new


def test_another_login_or_spelling_is_the_same_place(loaded: Workspace) -> None:
    loaded.document["sinks"][0]["config"]["uri"] = f"file://{loaded.folder}/lake/"
    assert applied(loaded).displaced == ()
    assert run(loaded).state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("postgresql://ada:pw@DB.example/shop", "postgres://grace@db.example:5432/shop?sslmode=require", True),
        ("jdbc:postgresql://db/shop", "postgresql+psycopg://db/shop/", True),
        ("mysql://db/shop", "mariadb://db:3306/shop", True),
        ("postgresql://db/shop", "postgresql://db/shop2", False),
        ("postgresql://db/shop", "postgresql://db:5433/shop", False),
        ("postgresql:///shop?host=/run/a", "postgresql:///shop?host=/run/b", False),
        ("s3://Lake/a", "s3a://Lake/a/", True),
        ("s3://Lake/a", "s3://lake/a", False),
        ("file:///srv/lake", "/srv//lake/", True),
        ("sqlite:////srv/a.db", "sqlite:////srv/b.db", False),
        ("abfss://one@account.dfs.core.windows.net/x", "abfss://two@account.dfs.core.windows.net/x", False),
    ],
)
def test_addresses_are_compared_without_login_and_spelling(one: str, other: str, is_same: bool) -> None:
    assert (plain_address(one) == plain_address(other)) is is_same


def test_the_place_of_a_sink_has_its_endpoint_and_no_secret(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ENDPOINT", "https://minio.example")
    workspace.apply()
    settings = workspace.installation.settings

    def place(template: str, **config: Any) -> str | None:
        return sink_location(Endpoint(endpoint_id="x", template=template, config=config), settings)

    options = {"aws_secret_access_key": "geheim", "AWS_ENDPOINT_URL": "env:LAKE_ENDPOINT", "aws_region": "eu"}
    assert place("lake.delta", uri="s3://b/lake", storage_options=options) == (
        "s3://b/lake, aws_endpoint_url https://minio.example"
    )
    assert place("sql", url="postgresql://u:pw@db/w", schema="sales") == "postgresql://db/w, schema sales"
    assert place("sql", url="postgresql://db/w", schema="public") == place("sql", url="postgresql://db/w")
    assert place("sql", url="env:NOT_HERE") is None
    assert place("no.such", url="x") is None


def test_every_sink_of_this_package_names_the_fields_of_its_location() -> None:
    for template in sink_templates():
        descriptor = sink_family(template).descriptor
        is_ours = not template.startswith(("testing.", "example."))
        fields = {part.alias or name for name, part in descriptor.config_model.model_fields.items()}
        assert set(descriptor.location_fields) <= fields, template
        assert descriptor.location_fields or not is_ours, template


def test_a_sink_that_cannot_be_reached_is_named_before_anything_changes(workspace: Workspace) -> None:
    sink = {"id": "away", "template": "sql", "config": {"url": "postgresql://127.0.0.1:1/w"}}
    workspace.document["sinks"].append(sink)
    config = load_config(workspace.write())
    with pytest.raises(ConnectionTestFailed, match="endpoint 'away' cannot be used"):
        apply(config, checks_reach=True)
    assert not Path(config.settings.home, "state.db").exists()
    assert yaml.safe_load(workspace.file.read_text())["sinks"][1]["id"] == "away"
    assert apply(config).changes  # without the check, apply needs no network
