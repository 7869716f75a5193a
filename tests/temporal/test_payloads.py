"""Only small documents cross the control plane: by their types, by their values, by their bytes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import jsonschema
import pyarrow as pa
import pytest
from pydantic import Field
from temporalio.exceptions import ApplicationError

from ingest_ray.payloads.contract import ACTIVITIES, WORKFLOWS, Signature, schemas
from ingest_ray.payloads.converter import GuardedConverter
from ingest_ray.payloads.documents import Beat, EndpointTally, Payload, RunCommand, UnitOutcome
from ingest_ray.payloads.guard import LIMIT_BYTES, check_content, faults_of
from ingest_ray.sdk.errors import PayloadTooLarge
from ingest_ray.sdk.types import RunState, RunSummary
from ingest_ray.settings import Settings
from ingest_ray.temporal.activities import Activities
from ingest_ray.temporal.results import outcome_of
from ingest_ray.temporal.workflows import ALL


def registered_activities() -> dict[str, Any]:
    found = Activities(Settings(home="/nowhere", state_url="sqlite://")).all
    return {each.__temporal_activity_definition.name: each for each in found}


def registered_workflows() -> dict[str, Any]:
    return {each.__temporal_workflow_definition.name: each.run for each in ALL}


def signatures() -> Iterator[tuple[str, Any, Signature | None]]:
    for known, found in ((ACTIVITIES, registered_activities()), (WORKFLOWS, registered_workflows())):
        for name, function in found.items():
            yield name, function, known.get(name)


@pytest.mark.parametrize(
    ("name", "function", "published"), list(signatures()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_argument_or_result_can_hold_rows_and_each_is_as_published(
    name: str, function: Any, published: Signature | None
) -> None:
    hints = get_type_hints(function)
    gives = hints.pop("return")
    (takes,) = hints.values()
    assert published == Signature(takes, gives)
    assert [*faults_of(takes, name), *faults_of(gives, name)] == []


def test_everything_that_is_published_is_registered() -> None:
    assert registered_activities().keys() == ACTIVITIES.keys()
    assert registered_workflows().keys() == WORKFLOWS.keys()
    assert list(faults_of(Beat, "heartbeat")) == []


class Rows(Payload):
    rows: Annotated[list[dict[str, int]], Field(max_length=5)]


class Outcomes(Payload):
    outcomes: Annotated[tuple[EndpointTally, ...], Field(max_length=5)]


class Unbounded(Payload):
    names: tuple[str, ...]


class Raw(Payload):
    content: bytes


class Anything(Payload):
    value: Any


class Table(Payload):
    model_config = Payload.model_config | {"arbitrary_types_allowed": True}
    batch: pa.RecordBatch


class InProcessCli(Payload):
    deep: Rows | None = None


@pytest.mark.parametrize("kind", [Rows, Outcomes, Unbounded, Raw, Anything, Table, InProcessCli])
def test_a_type_that_could_hold_rows_is_found(kind: type[Payload]) -> None:
    assert list(faults_of(kind, "x"))


@pytest.mark.parametrize(
    "value",
    [
        b"x",
        pa.table({"id": [1]}),
        pa.RecordBatch.from_pydict({"id": [1]}),
        [{"id": 1}],
        {"page": {"rows": [{"id": 1}]}},
        [[1, "a"], [2, "b"]],
        Outcomes(outcomes=(EndpointTally(),)),
    ],
)
def test_a_value_with_rows_in_it_is_refused_however_small(value: Any) -> None:
    with pytest.raises(PayloadTooLarge):
        check_content(value)
    with pytest.raises(ApplicationError) as refused:
        GuardedConverter().to_payloads([value])
    assert (refused.value.type, refused.value.non_retryable) == ("E_PAYLOAD_TOO_LARGE", True)


@pytest.mark.parametrize("value", [{"note": "x" * LIMIT_BYTES}, ["x" * 100] * 700])
def test_what_is_too_large_is_refused_on_its_way_out_and_in(value: Any) -> None:
    with pytest.raises(ApplicationError, match="65536"):
        GuardedConverter().to_payloads([value])
    foreign = GuardedConverter.__mro__[1]().to_payloads([value])
    with pytest.raises(ApplicationError, match="65536"):
        GuardedConverter().from_payloads(foreign)


def test_several_small_payloads_are_one_message() -> None:
    part = {"note": "x" * (LIMIT_BYTES // 2)}
    assert GuardedConverter().to_payloads([part])
    with pytest.raises(ApplicationError):
        GuardedConverter().to_payloads([part, part])


def test_a_command_is_camel_case_on_the_wire_and_comes_back_whole() -> None:
    command = RunCommand(endpoint_id="shop", unit_id="public.orders", task="backfill", lower="2024-01-01")
    (payload,) = GuardedConverter().to_payloads([command])
    assert json.loads(payload.data)["endpointId"] == "shop"
    assert GuardedConverter().from_payloads([payload], [RunCommand]) == [command]


def test_the_outcome_of_a_unit_with_ten_thousand_segments_is_small_and_its_manifest_is_whole(tmp_path: Path) -> None:
    watermarks: dict[str, Any] = {f"PROJECT-{n:05}": ["2025-01-01T00:00:00Z", n, "é" * 400] for n in range(10_000)}
    summary = RunSummary(
        run_id="r", endpoint_id="e", unit_id="u", sink_id="s", state=RunState.SUCCEEDED, watermarks=watermarks
    )
    outcome = outcome_of(Settings(home=str(tmp_path), state_url="sqlite://"), summary, "job")
    (payload,) = GuardedConverter().to_payloads([outcome])
    assert payload.ByteSize() < 16 * 1024
    assert (outcome.checkpoint.segments, outcome.checkpoint.is_truncated) == (10_000, True)
    assert RunSummary.model_validate_json(Path(outcome.manifest_uri).read_text()) == summary
    published: Any = schemas()
    jsonschema.validate(json.loads(payload.data), published["activities"]["runIngestionUnit"]["result"])


def test_published_schemas_are_schemas_and_refuse_what_the_models_refuse() -> None:
    published: Any = schemas()
    for kind in published.values():
        for one in kind.values():
            for schema in one.values():
                jsonschema.Draft202012Validator.check_schema(schema)
    argument = published["workflows"]["ingestionRunWorkflow"]["argument"]
    jsonschema.validate({"endpointId": "shop", "unitId": "public.orders"}, argument)
    for wrong in ({"endpointId": "shop"}, {"endpointId": "shop", "unitId": "u", "rows": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, argument)
    assert UnitOutcome.model_json_schema(mode="serialization")
