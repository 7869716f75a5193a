"""The models of the common data model, as Arrow schemas: ids, fields, types and provenance.

Every model has a `cdm_id`, its own fields, `source_system` and `properties` (JSON: everything without a column of its own), followed by
the columns of provenance, which the engine fills:

`_source_endpoint`, `_source_unit`   the unit whose mapper made the row; a table may hold rows of many units
`_source_key`                        the primary key, as text, of the source row from which it was made
`_source_version`                    the newer one wins: the source row's cursor as a number (instants: microseconds since 1970); where it is
                                     none, `READ_VERSIONS` plus the microseconds since 1970 at which the run began that read it
`_mapper_version`                    the mapper that made the row, and its version

A row without `cdm_id` is a marker: the source row with that key makes no row of this model (any more).
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

from ingest_ray.sdk.errors import ConfigError

FieldType = Literal["text", "bool", "int", "instant", "list", "json"]

ID_CHARS = 255  # the longest text that every database accepts as a primary key
KEY = "cdm_id"
ENDPOINT, UNIT, SOURCE_KEY, VERSION, MAPPER = (
    "_source_endpoint",
    "_source_unit",
    "_source_key",
    "_source_version",
    "_mapper_version",
)
READ_VERSIONS = -(2**62)  # far below every cursor, so that the two kinds of versions are distinguished
READ_VERSIONS_END = READ_VERSIONS + 2**57  # in the year 6500
PROVENANCE = pa.schema(
    [
        (ENDPOINT, pa.string()),
        (UNIT, pa.string()),
        (SOURCE_KEY, pa.string()),
        (VERSION, pa.int64()),
        (MAPPER, pa.string()),
    ]
)
ARROW: dict[FieldType, pa.DataType] = {
    "text": pa.string(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "instant": pa.timestamp("us", "UTC"),
    "list": pa.list_(pa.string()),
    "json": pa.json_(pa.string()),
}


@dataclass(frozen=True)
class CdmModel:
    """`fields`: those of the contract, in its order, without the fields that every model has."""

    model_id: str
    fields: dict[str, FieldType]

    @property
    def columns(self) -> dict[str, FieldType]:
        return {KEY: "text", "source_system": "text", **self.fields, "properties": "json"}

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns that a mapper fills."""
        return pa.schema([(name, ARROW[kind]) for name, kind in self.columns.items()])

    @cached_property
    def stored(self) -> pa.Schema:
        """The columns of a sink's table: a mapper's and those of provenance."""
        return pa.schema([*self.schema, *PROVENANCE])

    @property
    def table(self) -> str:
        """`cdm.work.item` -> `cdm_work_item`."""
        return self.model_id.replace(".", "_")

    @property
    def family(self) -> str:
        """`cdm.work.item` -> `cdm_work`: the schema of its table, where the database has schemas."""
        return self.model_id.rpartition(".")[0].replace(".", "_")


def _model(model_id: str, **fields: FieldType) -> CdmModel:
    return CdmModel(model_id, fields)


_ALL = (
    _model("cdm.work.project", source_project_key="text", name="text", description="text", url="text"),
    _model("cdm.work.user", source_user_id="text", display_name="text", email="text", active="bool"),
    _model(
        "cdm.work.item",
        source_id="text",
        source_issue_key="text",
        source_url="text",
        project_cdm_id="text",
        reporter_cdm_id="text",
        assignee_cdm_id="text",
        issue_type="text",
        status="text",
        status_category="text",
        priority="text",
        summary="text",
        description="text",
        labels="list",
        created_at="instant",
        updated_at="instant",
        closed_at="instant",
        raw_source="json",
    ),
    _model(
        "cdm.work.comment",
        source_comment_id="text",
        item_cdm_id="text",
        author_cdm_id="text",
        body="text",
        created_at="instant",
        updated_at="instant",
        visibility="text",
    ),
    _model(
        "cdm.work.worklog",
        source_worklog_id="text",
        item_cdm_id="text",
        author_cdm_id="text",
        started_at="instant",
        time_spent_seconds="int",
        comment="text",
        visibility="text",
    ),
    _model("cdm.doc.space", source_space_id="text", key="text", name="text", description="text", url="text"),
    _model(
        "cdm.doc.item",
        source_id="text",
        source_item_id="text",
        space_cdm_id="text",
        parent_item_cdm_id="text",
        title="text",
        doc_type="text",
        mime_type="text",
        created_by_cdm_id="text",
        updated_by_cdm_id="text",
        created_at="instant",
        updated_at="instant",
        url="text",
        source_url="text",
        tags="list",
        raw_source="json",
    ),
    _model(
        "cdm.doc.revision",
        source_revision_id="text",
        item_cdm_id="text",
        revision_number="int",
        revision_label="text",
        author_cdm_id="text",
        created_at="instant",
        summary="text",
    ),
    _model(
        "cdm.doc.link",
        source_link_id="text",
        from_item_cdm_id="text",
        to_item_cdm_id="text",
        url="text",
        link_type="text",
        created_at="instant",
    ),
    _model(
        "cdm.doc.access",
        doc_cdm_id="text",
        principal_id="text",
        principal_type="text",
        permission="text",
        granted_at="instant",
    ),
    _model(
        "cdm.work.transition",
        item_cdm_id="text",
        author_cdm_id="text",
        at="instant",
        field="text",
        from_value="text",
        from_text="text",
        to_value="text",
        to_text="text",
    ),
    _model(
        "cdm.work.link",
        from_item_cdm_id="text",
        to_item_cdm_id="text",
        link_type="text",
        direction="text",
        url="text",
    ),
    _model(
        "cdm.work.sprint",
        name="text",
        state="text",
        board_source_id="text",
        started_at="instant",
        ended_at="instant",
        completed_at="instant",
        goal="text",
    ),
    _model("cdm.work.access", item_cdm_id="text", principal_id="text", principal_type="text", permission="text"),
    _model(
        "cdm.doc.comment",
        item_cdm_id="text",
        parent_comment_cdm_id="text",
        author_cdm_id="text",
        body="text",
        created_at="instant",
        updated_at="instant",
        is_inline="bool",
        resolution="text",
    ),
    _model("cdm.identity.group", name="text"),
    _model("cdm.identity.member", group_cdm_id="text", user_cdm_id="text"),
)
MODELS = {model.model_id: model for model in _ALL}


def model_of(model_id: str) -> CdmModel:
    """Raises `ConfigError`, naming the models that exist."""
    try:
        return MODELS[model_id]
    except KeyError:
        raise ConfigError(f"there is no CDM model '{model_id}'", hint=f"there are: {', '.join(MODELS)}") from None


def cdm_id(model_id: str, system: str, *parts: str | int) -> str:
    """`cdm_id("cdm.work.item", "acme", "SHOP-1")` -> `cdm:work:item:acme:SHOP-1`."""
    return ":".join([*model_id.split("."), system, *map(str, parts)])


def hashed(text: str) -> str:
    """An id for objects without one of their own, such as a link."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_accepted(model_id: str, patterns: tuple[str, ...]) -> bool:
    """True where one of a sink's `patterns` matches the model: an exact id, or all of a family (`cdm.work.*`)."""
    return any(
        model_id == pattern or (pattern.endswith(".*") and model_id.startswith(pattern[:-1])) for pattern in patterns
    )
