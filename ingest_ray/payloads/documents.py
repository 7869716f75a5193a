"""The arguments and results of workflows and activities. Their JSON Schemas are published: other languages speak them.

Field names are camelCase on the wire. Every list and mapping has a bound and holds plain values, never documents: a
record list has no place here, and `guard.faults_of` refuses one in a type before any row can be in it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import RunState

Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Text = Annotated[str, StringConstraints(max_length=2_000)]
Scalar = Annotated[str, StringConstraints(max_length=200)] | int | float | bool | None
"""A watermark, or a part of one; longer texts are cut."""

SEGMENTS_SHOWN = 20
NAMES_SHOWN = 20
UNITS_PER_PAGE = 100
COLUMNS_SHOWN = 200


class Payload(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )


class RunCommand(Payload):
    """Of `ingestionRunWorkflow` and `startIngestionRun`. `runId`: a run that has its record already, or is to have that id."""

    endpoint_id: Name
    unit_id: Name
    sink_id: Name | None = None
    sink_endpoint_id: Name | None = None
    """Both take the place of what is configured."""
    run_id: Name | None = None
    task: Literal["ingest", "backfill", "replay", "remap"] = "ingest"
    lower: Name | None = None
    upper: Name | None = None
    reconcile: bool = False
    upkeep: bool = False
    """After the run, the table's small files are compacted and its unneeded files deleted."""
    allow_deletes: bool = False
    requested_by: Name | None = None
    max_attempts: Annotated[int, Field(ge=1)] = 10
    """Of `runIngestionUnit`; each goes on where the one before stopped."""
    silence_s: Annotated[int, Field(ge=2, le=600)] = 20
    """Without a sign of life for so many seconds a worker is taken for dead, and another one attaches to the job."""

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)


class RunRef(Payload):
    run_id: Name
    endpoint_id: Name
    unit_id: Name
    sink_id: Name


class RunOnly(Payload):
    """Of `runIngestionUnit` and `completeIngestionRun`."""

    run_id: Name


class RunProgress(Payload):
    """Of the query `progress` of `ingestionRunWorkflow`. Counts of rows are in the activity's heartbeats, and in the run record."""

    phase: Literal["starting", "running", "ending", "ended"] = "starting"
    run_id: Name | None = None
    """None while the run has no record yet, or was refused."""
    code: Name | None = None
    """Of the error that ends the run."""


class RunFailure(Payload):
    run_id: Name
    code: Name
    message: Text
    hint: Text | None = None


class RunEnd(Payload):
    run_id: Name
    state: RunState
    code: Name | None = None


class Checkpoint(Payload):
    """`watermarks` are of the first segments by name; a value of several columns is their JSON. All are in the manifest."""

    segments: int = 0
    watermarks: Annotated[dict[Name, Scalar], Field(max_length=SEGMENTS_SHOWN)] = {}
    is_truncated: bool = False


class Statistics(Payload):
    """Of the try that ended the run: a run that was resumed counts what it did itself."""

    rows_read: int = 0
    rows_staged: int = 0
    rows_committed: int = 0
    rows_quarantined: int = 0
    rows_deduplicated: int = 0
    bytes_staged: int = 0
    slices_planned: int = 0
    slices_committed: int = 0
    slices_failed: int = 0
    slices_degraded: int = 0
    retries: int = 0
    seconds: float = 0.0


class UnitOutcome(Payload):
    run_id: Name
    endpoint_id: Name
    unit_id: Name
    sink_id: Name
    state: RunState
    target: Text | None = None
    job_id: Name | None = None
    checkpoint: Checkpoint
    statistics: Statistics
    manifest_uri: Text
    """The whole run record as a JSON file, with every segment's watermark."""


class Beat(Payload):
    """The heartbeat of `runIngestionUnit`: for people who look. What must survive is in the KV.

    `waiting`: why nothing goes on now. `job_id` is null while no cluster has taken the run's job.
    """

    run_id: Name
    job_id: Name | None = None
    waiting: Text | None = None
    phase: Name | None = None
    rows_committed: int = 0
    slices_committed: int = 0


class CatalogCommand(Payload):
    endpoint_id: Name


class CatalogOutcome(Payload):
    endpoint_id: Name
    collection_id: Name
    found: int
    added: int
    changed: int
    gone: int
    configured: int
    warnings: Annotated[tuple[Text, ...], Field(max_length=NAMES_SHOWN)] = ()


class ComparisonCommand(Payload):
    """Of `compareUnitWorkflow` and `compareUnit`: keys only, or values too, as the unit's `policy.verify_rows` says."""

    endpoint_id: Name
    unit_id: Name
    requested_by: Name | None = None


class ComparisonOutcome(Payload):
    """FAILED where keys differ (`code` is E_ROWS_DIFFER), or the comparison could not be made."""

    run_id: Name
    state: RunState
    compared: str
    rows_at_source: int
    rows_in_sink: int
    missing: int = 0
    surplus: int = 0
    different: int = 0
    doubled: int = 0
    code: Name | None = None
    message: Text | None = None


class PreviewCommand(Payload):
    endpoint_id: Name
    unit_id: Name
    rows: Annotated[int, Field(ge=1, le=1_000)] = 10


class PreviewOutcome(Payload):
    """The rows are in the JSON file at `uri`."""

    endpoint_id: Name
    unit_id: Name
    uri: Text
    rows: int
    columns: Annotated[tuple[Name, ...], Field(max_length=COLUMNS_SHOWN)] = ()
    column_count: int


class ProvisionCommand(Payload):
    sink_endpoint_id: Name
    cdm_model_id: Name


class ProvisionOutcome(Payload):
    ok: bool = True
    dataset_id: Name
    schema_name: str
    table_name: Name


class UnitsCommand(Payload):
    """The next enabled units of an endpoint after `after`, by id."""

    endpoint_id: Name
    after: Name | None = None
    limit: Annotated[int, Field(ge=1, le=UNITS_PER_PAGE)] = 10


class UnitsPage(Payload):
    unit_ids: Annotated[tuple[Name, ...], Field(max_length=UNITS_PER_PAGE)] = ()
    is_last: bool


class EndpointTally(Payload):
    succeeded: int = 0
    paused: int = 0
    failed: int = 0
    failed_units: Annotated[tuple[Name, ...], Field(max_length=NAMES_SHOWN)] = ()
    """The first ones."""
    code: Name | None = None
    """Of the first one."""


class EndpointProgress(Payload):
    """Of the query `progress` of `endpointIngestionWorkflow`. `units`: of this part of the history; `tally`: of all parts before it too."""

    units: int = 0
    running: Annotated[tuple[Name, ...], Field(max_length=UNITS_PER_PAGE)] = ()
    tally: EndpointTally = EndpointTally()


class EndpointCommand(Payload):
    """Of `endpointIngestionWorkflow`: all enabled units. `after` and `tally` are its own, when it goes on as new."""

    endpoint_id: Name
    max_parallel: Annotated[int, Field(ge=1, le=UNITS_PER_PAGE)] = 4
    units_per_history: Annotated[int, Field(ge=1, le=UNITS_PER_PAGE)] = 10
    requested_by: Name | None = None
    after: Name | None = None
    tally: EndpointTally = EndpointTally()
