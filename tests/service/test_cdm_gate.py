"""The gate's rules for CDM mode: each refusal has its code, and leaves no run, no state, no table and no call to the source."""

from typing import Any

import pytest

from ingest_ray.catalog import dataset_versions
from ingest_ray.catalog import run_records as records
from ingest_ray.cdm import RowMapper, registry
from ingest_ray.registry import strategy_for
from ingest_ray.sdk import errors
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState, UnitConfig
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.provision import list_sinks, provision
from ingest_ray.service.runs.execution import plan, run
from ingest_ray.service.runs.remap import remap
from ingest_ray.service.units.gate import gate
from tests.service.workspace import ALL, Workspace

UNIT, ITEM = "numbers-1x1000", "cdm.work.item"
MODELS = {ITEM: {"cdm_id": "cdm_id('cdm.work.item', id)", "summary": "payload"}}
MAPPED = {"models": MODELS}


def sinks(workspace: Workspace, **config: Any) -> None:
    url = f"sqlite:///{workspace.folder}/cdm.db"
    workspace.document["sinks"].append({"id": "models", "template": "cdm.jdbc", "config": {"url": url, **config}})


def rule(workspace: Workspace, **fields: Any) -> None:
    workspace.document["units"] = [{**ALL, "unit": UNIT, **fields}]


def ready(workspace: Workspace, **fields: Any) -> None:
    """Applied and collected, with one rule; no call reached the source since."""
    rule(workspace, **fields)
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.calls()


def refused(workspace: Workspace, kind: type[IngestError], code: str, says: str) -> None:
    for use in (gate, plan, lambda installation, unit: run(installation, unit.endpoint_id, [unit.unit_id]), remap):
        with pytest.raises(kind, match=says) as caught:
            use(workspace.installation, UnitRef("shop", UNIT))
        assert type(caught.value) is kind
        assert caught.value.code == code
        assert caught.value.is_user_mistake
    assert workspace.calls() == []
    assert list(workspace.installation.kv.scan("")) == []
    with workspace.installation.catalog.read() as connection:
        assert records.recent(connection, UnitRef("shop", UNIT)) == []
    assert not (workspace.folder / "cdm.db").exists()
    assert not (workspace.folder / "lake").exists()


def test_a_unit_without_a_model(workspace: Workspace) -> None:
    sinks(workspace)
    ready(workspace, mode="cdm", sink_endpoint="models")
    refused(workspace, errors.CdmModeUnsupported, "E_CDM_MODE_UNSUPPORTED", "no model of the common data model")


def test_a_pattern_leaves_out_units_without_a_mapper_and_names_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = strategy_for("testing.scripted")
    listed = strategy.list_units

    def with_model(endpoint: Any, found: Any) -> Any:
        models = {UNIT: (ITEM,)}
        return [u.model_copy(update={"cdm_model_ids": models.get(u.unit_id, ())}) for u in listed(endpoint, found)]

    monkeypatch.setattr(strategy, "list_units", with_model)
    mapper = RowMapper("test/1", (ITEM,), lambda row, context: [(ITEM, {"cdm_id": f"x:{row['id']}"})])
    monkeypatch.setitem(registry._registered, ("testing.scripted", UNIT), mapper)
    sinks(workspace)
    workspace.document["units"] = [{**ALL, "mode": "cdm", "sink_endpoint": "models"}]
    workspace.apply()
    collected = collect(workspace.installation, "shop")
    left_out = "unit 'shop:numbers-2x300' has no CDM mapper"
    assert [text for text in collected.warnings if left_out in text]
    assert any(left_out in text for text in workspace.apply().warnings)
    provision(workspace.installation, "models", ITEM)
    report = run(workspace.installation, "shop")
    assert report.state is RunState.SUCCEEDED
    assert [summary.unit_id for summary in report.units] == [UNIT]
    workspace.document["units"].append({"endpoint": "shop", "unit": "numbers-2x300", "enabled": True})
    assert not workspace.apply().warnings, "a unit that a rule names is refused by the run, not left out"
    assert run(workspace.installation, "shop").state is RunState.FAILED


def test_a_unit_whose_mapper_is_not_registered(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = strategy_for("testing.scripted")
    listed = strategy.list_units

    def with_model(endpoint: Any, found: Any) -> Any:
        return [unit.model_copy(update={"cdm_model_ids": (ITEM,)}) for unit in listed(endpoint, found)]

    monkeypatch.setattr(strategy, "list_units", with_model)
    sinks(workspace)
    ready(workspace, mode="cdm", sink_endpoint="models")
    refused(workspace, errors.CdmModeUnavailable, "E_CDM_MODE_UNAVAILABLE", "has no CDM mapper")


def test_no_sink_endpoint(workspace: Workspace) -> None:
    sinks(workspace)
    ready(workspace, mode="cdm", cdm=MAPPED)
    refused(workspace, errors.CdmSinkRequired, "E_CDM_SINK_ENDPOINT_REQUIRED", "names no sink endpoint")


def test_a_sink_that_does_not_take_the_model(workspace: Workspace) -> None:
    sinks(workspace, models=["cdm.doc.*", "cdm.work.user"])
    ready(workspace, mode="cdm", sink_endpoint="models", cdm=MAPPED)
    refused(workspace, errors.CdmSinkUnsupported, "E_CDM_SINK_UNSUPPORTED", "does not take model 'cdm.work.item'")


def test_a_sink_that_is_not_provisioned_for_the_model(workspace: Workspace) -> None:
    sinks(workspace)
    ready(workspace, mode="cdm", sink_endpoint="models", cdm=MAPPED)
    refused(
        workspace, errors.CdmSinkRefused, "E_CDM_SINK_ENDPOINT_UNSUPPORTED", "not provisioned for model 'cdm.work.item'"
    )


@pytest.mark.slow
def test_a_sink_that_takes_no_models_at_all(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    ready(workspace, mode="cdm", sink_endpoint="lake", cdm=MAPPED)
    monkeypatch.setattr("ingest_ray.service.units.cdm_rules.supported_models", lambda endpoint: ())
    refused(workspace, errors.CdmSinkRefused, "E_CDM_SINK_ENDPOINT_UNSUPPORTED", "takes no CDM models")


def test_a_sink_of_models_takes_no_rows_as_they_are(workspace: Workspace) -> None:
    sinks(workspace)
    ready(workspace, sink="models")
    with pytest.raises(errors.ModeUnsupported, match="CDM models only"):
        run(workspace.installation, "shop", [UNIT])
    assert workspace.calls() == []


@pytest.mark.parametrize(
    ("policy", "says"), [({"write": "append"}, "would double rows"), ({"columns": ["id"], "write": "append"}, "append")]
)
def test_policies_that_cdm_mode_cannot_have(workspace: Workspace, policy: dict[str, Any], says: str) -> None:
    ready(workspace, mode="cdm", sink_endpoint="lake", cdm={"models": {ITEM: {"cdm_id": "id"}}}, policy=policy)
    with pytest.raises(ConfigError, match=says):
        gate(workspace.installation, UnitRef("shop", UNIT))


def test_remap_of_a_unit_in_raw_mode_is_refused(workspace: Workspace) -> None:
    ready(workspace)
    with pytest.raises(errors.CdmModeUnsupported, match="not in CDM mode"):
        remap(workspace.installation, UnitRef("shop", UNIT))
    assert workspace.calls() == []


@pytest.mark.slow
def test_provisioning_publishes_the_table_once_and_then_units_may_run(workspace: Workspace) -> None:
    sinks(workspace, prefix="x_")
    ready(workspace, mode="cdm", sink_endpoint="models", cdm=MAPPED)
    done = provision(workspace.installation, "models", ITEM)
    assert (done.table_name, done.schema_name, done.is_new_to_catalog) == ("x_cdm_work_item", "", True)
    assert provision(workspace.installation, "models", ITEM) == done.model_copy(update={"is_new_to_catalog": False})
    with workspace.installation.catalog.read() as connection:
        (found,) = dataset_versions.current(connection, "models")
        assert len(dataset_versions.history(connection, "models", found.name)) == 1
    assert set(found.labels) == {"sink-endpoint:models", f"cdm_model:{ITEM}"}
    assert (found.dataset_id, found.primary_key) == (done.dataset_id, ("cdm_id",))
    views = {view.sink_id: view for view in list_sinks(workspace.installation)}
    assert views["models"].provisioned == (ITEM,)
    assert views["lake"].provisioned is None
    assert views["models"].supported_cdm_models == views["lake"].supported_cdm_models
    assert views["lake"].supported_cdm_models == ("cdm.work.*", "cdm.doc.*", "cdm.identity.*")
    report = run(workspace.installation, "shop", [UNIT])
    assert report.state is RunState.SUCCEEDED, report.units[0].error
    assert report.units[0].models[ITEM].committed == 1000


def test_provisioning_names_what_is_wrong(workspace: Workspace) -> None:
    sinks(workspace, models=["cdm.doc.*"])
    workspace.apply()
    with pytest.raises(errors.SinkMissing, match="nobody"):
        provision(workspace.installation, "nobody", ITEM)
    with pytest.raises(ConfigError, match=r"no CDM model 'cdm\.work\.thing'"):
        provision(workspace.installation, "models", "cdm.work.thing")
    with pytest.raises(errors.CdmSinkUnsupported, match=r"does not take model 'cdm\.work\.item'"):
        provision(workspace.installation, "models", ITEM)


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ({"cdm.work.thing": {"cdm_id": "id"}}, "no such model"),
        ({ITEM: {"summary": "payload"}}, "'cdm_id' is required"),
        ({ITEM: {"cdm_id": "id", "sumary": "payload"}}, "no such field"),
        ({ITEM: {"cdm_id": "id", "summary": "lower(payload"}}, "syntax error|not understood|Parser"),
        ({ITEM: {"cdm_id": "id", "summary": "1); DROP TABLE x; SELECT (2"}}, "Parser|syntax"),
        ({ITEM: {"cdm_id": "id", "summary": "(SELECT content FROM read_text('/etc/passwd'))"}}, "subquery"),
        ({ITEM: {"cdm_id": "id", "summary": "max(payload)"}}, "'max'"),
        ({ITEM: {"cdm_id": "id", "created_at": "now()"}}, "'now'"),
    ],
)
def test_an_expression_that_is_wrong_is_named_by_line_and_field_at_apply(
    workspace: Workspace, models: Any, says: str
) -> None:
    rule(workspace, mode="cdm", sink_endpoint="lake", cdm={"models": models})
    with pytest.raises(ConfigError, match=says) as caught:
        workspace.apply()
    lines = workspace.file.read_text().splitlines()
    where, field, _ = str(caught.value).split(": ", 2)
    (model,) = models
    assert field.startswith(f"units[0].cdm.models.{model}")
    line = lines[int(where.rpartition(":")[2]) - 1]
    assert line.strip().startswith((field.rpartition(".")[2], model)), line


def test_an_expression_over_a_column_that_is_not_there_is_refused_as_soon_as_the_dataset_is_known(
    workspace: Workspace,
) -> None:
    wrong = {ITEM: {"cdm_id": "cdm_id('cdm.work.item', id)", "summary": "titel", "created_at": "payload"}}
    rule(workspace, mode="cdm", sink_endpoint="lake", cdm={"models": wrong})
    workspace.apply()
    assert "titel" in collect(workspace.installation, "shop").warnings[0]
    with pytest.raises(
        ConfigError, match=r"ingest\.yaml:\d+: units\[0\]\.cdm\.models\.cdm\.work\.item\.summary.*titel"
    ):
        workspace.apply()
    with pytest.raises(errors.UnitDisabled, match="not configured"):
        run(workspace.installation, "shop", [UNIT])


def test_registering_a_mapper_again_changes_nothing_and_another_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    mapper = RowMapper("things/1", (ITEM,), lambda row, context: [])
    registry.register_cdm_mapper("testing.scripted", "things", mapper)
    registry.register_cdm_mapper("testing.scripted", "things", mapper)
    assert registry.mapper_for("testing.scripted", "things") is mapper
    with pytest.raises(ConfigError, match="'things/2' is another"):
        registry.register_cdm_mapper("testing.scripted", "things", RowMapper("things/2", (ITEM,), mapper.row))


def test_in_cdm_mode_the_checkpoint_is_that_of_the_sink_endpoint() -> None:
    config = UnitConfig(endpoint_id="e", unit_id="u", sink_id="lake", mode="cdm", sink_endpoint_id="models")  # type: ignore[arg-type]
    assert config.sink_id == "models"
    assert UnitConfig(endpoint_id="e", unit_id="u", sink_id="lake", sink_endpoint_id="models").sink_id == "lake"
