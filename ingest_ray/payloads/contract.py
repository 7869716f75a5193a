"""The published workflows and activities, with the types of their arguments and results.

`ingest-ray temporal schemas` prints their JSON Schemas. A test compares this module with what the worker registers.
"""

from dataclasses import dataclass

from pydantic import JsonValue, TypeAdapter

from ingest_ray.payloads.documents import (
    CatalogCommand,
    CatalogOutcome,
    ComparisonCommand,
    ComparisonOutcome,
    EndpointCommand,
    EndpointProgress,
    EndpointTally,
    Payload,
    PreviewCommand,
    PreviewOutcome,
    ProvisionCommand,
    ProvisionOutcome,
    RunCommand,
    RunEnd,
    RunFailure,
    RunOnly,
    RunProgress,
    RunRef,
    UnitOutcome,
    UnitsCommand,
    UnitsPage,
)


@dataclass(frozen=True)
class Signature:
    takes: type[Payload]
    gives: type[Payload]


RUN = "ingestionRunWorkflow"
ENDPOINT = "endpointIngestionWorkflow"
CATALOG = "collectCatalogWorkflow"
COMPARISON = "compareUnitWorkflow"

WORKFLOWS = {
    RUN: Signature(RunCommand, UnitOutcome),
    ENDPOINT: Signature(EndpointCommand, EndpointTally),
    CATALOG: Signature(CatalogCommand, CatalogOutcome),
    COMPARISON: Signature(ComparisonCommand, ComparisonOutcome),
}
PROGRESS = "progress"
QUERIES: dict[str, dict[str, type[Payload]]] = {RUN: {PROGRESS: RunProgress}, ENDPOINT: {PROGRESS: EndpointProgress}}
"""The queries of each workflow, which take nothing, and what they answer."""
ACTIVITIES = {
    "startIngestionRun": Signature(RunCommand, RunRef),
    "runIngestionUnit": Signature(RunOnly, UnitOutcome),
    "completeIngestionRun": Signature(RunOnly, RunEnd),
    "failIngestionRun": Signature(RunFailure, RunEnd),
    "listEnabledUnits": Signature(UnitsCommand, UnitsPage),
    "collectCatalogSnapshots": Signature(CatalogCommand, CatalogOutcome),
    "compareUnit": Signature(ComparisonCommand, ComparisonOutcome),
    "previewDataset": Signature(PreviewCommand, PreviewOutcome),
    "provisionCdmSink": Signature(ProvisionCommand, ProvisionOutcome),
}


def schemas() -> dict[str, dict[str, JsonValue]]:
    """Per workflow and activity the JSON Schema of its one argument and of its result."""

    def of(signatures: dict[str, Signature]) -> dict[str, JsonValue]:
        return {
            name: {
                "argument": TypeAdapter(signature.takes).json_schema(mode="validation"),
                "result": TypeAdapter(signature.gives).json_schema(mode="serialization"),
            }
            for name, signature in signatures.items()
        }

    queries: dict[str, JsonValue] = {
        f"{workflow}.{name}": {"result": TypeAdapter(gives).json_schema(mode="serialization")}
        for workflow, by_name in QUERIES.items()
        for name, gives in by_name.items()
    }
    return {"workflows": of(WORKFLOWS), "activities": of(ACTIVITIES), "queries": queries}
