"""The gate: each refusal has its code, and leaves no run, no state and no call to the source."""

from collections.abc import Callable
from typing import Any

import pytest

from ingest_ray.catalog import run_records as records
from ingest_ray.registry import sink_family, strategy_for
from ingest_ray.sdk import errors
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import Endpoint, UnitConfig
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.admission import admit
from ingest_ray.service.runs.execution import plan, run
from ingest_ray.service.units.gate import gate
from tests.service.workspace import ALL, Workspace

UNIT = "numbers-1x1000"
FULL = {**ALL, "unit": UNIT}
Change = Callable[[Workspace], None]


def rule(**fields: Any) -> Change:
    def change(workspace: Workspace) -> None:
        workspace.document["units"] = [{**FULL, **fields}]

    return change


def policy(**fields: Any) -> Change:
    return rule(policy=fields)


REFUSED = [
    ("endpoint", "nobody", UNIT, None, errors.EndpointNotFound, "nobody"),
    ("a sink is no source", "lake", UNIT, None, errors.EndpointNotFound, "lake"),
    ("unit", "shop", "numbers-1x100", None, errors.UnitNotFound, "numbers-1x100"),
    ("not enabled", "shop", UNIT, rule(enabled=False), errors.UnitDisabled, "not enabled"),
    ("not configured", "shop", UNIT, rule(unit="numbers-2x300"), errors.UnitDisabled, "not configured"),
    ("strategy's check", "shop", UNIT, rule(run_mode="INCREMENTAL"), errors.ModeUnsupported, "policy.cursor"),
    ("cursor", "shop", UNIT, policy(cursor="updated"), errors.ConfigError, "policy.cursor names column 'updated'"),
    ("key", "shop", UNIT, policy(primary_key=["idd"]), errors.ConfigError, "policy.primary_key names column 'idd'"),
    ("columns", "shop", UNIT, policy(columns=["id", "x"]), errors.ConfigError, "policy.columns names column 'x'"),
    ("key left out", "shop", UNIT, policy(columns=["at"], write="upsert"), errors.ConfigError, "leaves out 'id'"),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "endpoint", "unit", "change", "kind", "says"), REFUSED, ids=[case[0] for case in REFUSED]
)
def test_a5_a_refusal_has_its_type_and_touches_nothing(
    workspace: Workspace, name: str, endpoint: str, unit: str, change: Change | None, kind: type[IngestError], says: str
) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    if change is not None:
        change(workspace)
        workspace.apply()
    workspace.calls()
    for use in (gate, plan, lambda installation, unit: run(installation, unit.endpoint_id, [unit.unit_id])):
        with pytest.raises(kind, match=says) as caught:
            use(workspace.installation, UnitRef(endpoint, unit))
        assert type(caught.value) is kind
        assert caught.value.is_user_mistake
    assert_untouched(workspace)


def assert_untouched(workspace: Workspace) -> None:
    assert workspace.calls() == []
    assert list(workspace.installation.kv.scan("")) == []
    with workspace.installation.catalog.read() as connection:
        assert records.recent(connection, UnitRef("shop", UNIT)) == []
    assert not (workspace.folder / "lake").exists()


def test_before_the_first_collection_the_dataset_is_unknown(workspace: Workspace) -> None:
    workspace.apply()
    with pytest.raises(errors.DatasetUnknown, match="no metadata") as caught:
        run(workspace.installation, "shop", [UNIT])
    assert caught.value.hint == "ingest-ray collect shop"
    assert_untouched(workspace)


def test_a_dataset_that_has_vanished_is_unknown_and_its_configuration_stays(workspace: Workspace) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.source["units"] = ["numbers-2x300"]
    workspace.apply()
    assert collect(workspace.installation, "shop").differences.gone == (UNIT,)
    workspace.calls()
    with pytest.raises(errors.DatasetUnknown, match="gone since"):
        run(workspace.installation, "shop", [UNIT])
    assert_untouched(workspace)
    workspace.source["units"] = [UNIT]
    workspace.apply()
    collect(workspace.installation, "shop")
    assert gate(workspace.installation, UnitRef("shop", UNIT)).spec.unit_id == UNIT


def test_a_sink_that_is_not_registered_is_missing(workspace: Workspace) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    from ingest_ray.catalog import endpoints

    with workspace.installation.catalog.begin() as connection:
        endpoints.remove(connection, "lake")
    workspace.calls()
    with pytest.raises(errors.SinkMissing, match="'lake'"):
        run(workspace.installation, "shop", [UNIT])
    assert_untouched(workspace)


def test_an_endpoint_whose_strategy_is_not_installed_says_so(workspace: Workspace) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    from ingest_ray.catalog import endpoints
    from ingest_ray.catalog.endpoints import Registration

    with workspace.installation.catalog.begin() as connection:
        unknown = Endpoint(endpoint_id="shop", template="jdbc.db2")
        endpoints.save(connection, Registration(endpoint=unknown, role="source", vendor="ibm"))
    with pytest.raises(errors.StrategyMissing, match=r"jdbc\.db2"):
        run(workspace.installation, "shop", [UNIT])


def test_one_unit_that_is_refused_keeps_all_of_a_launch_from_starting(workspace: Workspace) -> None:
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.calls()
    with pytest.raises(errors.UnitNotFound):
        run(workspace.installation, "shop", [UNIT, "missing"])
    assert_untouched(workspace)


def test_two_units_of_one_target_are_refused(workspace: Workspace) -> None:
    workspace.document["sinks"].append({"id": "lake2", "template": "lake.delta", "config": {"uri": "./lake"}})
    workspace.apply()
    collect(workspace.installation, "shop")
    family = sink_family("lake.delta")

    class OnePlace:
        """A sink in which every unit has the same location."""

        descriptor = family.descriptor

        def open(self, endpoint: Endpoint) -> Any:
            sink = family.open(endpoint)
            sink.location = lambda target: str(endpoint.config["uri"])
            return sink

    from ingest_ray.service.units import launch_catalog

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch_catalog, "open_sink", OnePlace().open)
        with pytest.raises(errors.ConfigError, match=r"'shop:numbers-1x1000' and 'shop:numbers-2x300' both write to"):
            gate(workspace.installation, UnitRef("shop", UNIT))


def test_the_order_has_key_and_write_mode_spelled_out_and_no_secret(workspace: Workspace) -> None:
    workspace.source["password"] = "hunter2-of-the-order"
    workspace.document["units"].append(
        {"endpoint": "shop", "unit": "numbers-2x300", "run_mode": "INCREMENTAL", "policy": {"cursor": "at"}}
    )
    workspace.apply()
    collect(workspace.installation, "shop")
    full, incremental = (
        gate(workspace.installation, UnitRef("shop", UNIT)),
        gate(workspace.installation, UnitRef("shop", "numbers-2x300")),
    )
    assert (full.spec.policy.write, full.spec.policy.primary_key) == ("replace", ("id",))
    assert (incremental.spec.policy.write, incremental.spec.policy.primary_key) == ("upsert", ("id",))
    assert "hunter2" not in full.model_dump_json()
    assert strategy_for("testing.scripted").descriptor.vendor == "testing"


@pytest.mark.parametrize(
    ("fidelity", "says", "hint"),
    [
        ("refused", "cannot be held", "policy.columns"),
        ("lossy", "would lose something", "allow_lossy"),
    ],
)
def test_a_column_that_would_not_arrive_whole_is_named_before_the_first_row(
    workspace: Workspace, fidelity: str, says: str, hint: str
) -> None:
    workspace.source["fidelities"] = {"payload": fidelity}
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.calls()
    with pytest.raises(errors.ConfigError) as caught:
        run(workspace.installation, "shop", [UNIT])
    assert f"{says}: 'payload' (text -> " in caught.value.message
    assert hint in str(caught.value.hint)
    assert_untouched(workspace)
    policy(columns=["id", "segment", "at"])(workspace)
    workspace.apply()
    assert run(workspace.installation, "shop", [UNIT]).rows.committed == 1000


def test_a8_a_lossy_column_arrives_with_consent_and_a_refused_one_never(workspace: Workspace) -> None:
    policy(allow_lossy=True)(workspace)
    workspace.source["fidelities"] = {"payload": "lossy"}
    workspace.apply()
    collect(workspace.installation, "shop")
    found = plan(workspace.installation, UnitRef("shop", UNIT))
    assert {line.column: str(line.fidelity) for line in found.certificate}["payload"] == "lossy"
    assert run(workspace.installation, "shop", [UNIT]).rows.committed == 1000
    workspace.source["fidelities"] = {"payload": "refused"}
    workspace.apply()
    collect(workspace.installation, "shop")
    with pytest.raises(errors.ConfigError, match="cannot be held"):
        run(workspace.installation, "shop", [UNIT])


def test_a_launch_reads_the_units_of_an_endpoint_once_however_many_it_runs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the catalog for each unit would be a million reads for a thousand units."""
    workspace.source["units"] = [f"numbers-1x{rows}" for rows in range(1, 41)]
    workspace.document["units"] = [
        {"endpoint": "shop", "unit": "*", "sink": "lake", "enabled": True, "run_mode": "FULL", "policy": {}}
    ]
    workspace.apply()
    collect(workspace.installation, "shop")
    workspace.apply()
    read: list[str | bytes] = []
    validate = UnitConfig.model_validate_json

    def counted(document: str | bytes) -> UnitConfig:
        read.append(document)
        return validate(document)

    monkeypatch.setattr(UnitConfig, "model_validate_json", counted)
    assert len(admit(workspace.installation, "shop", ())) == 40
    assert len(read) <= 4 * 40
