"""Columns and tables of Jira: the field of a JSON object that each value comes from."""

from dataclasses import dataclass
from typing import Literal

from ingest_ray.sdk.types import Column
from ingest_strategies.atlassian.tables import PAYLOAD as OBJECT
from ingest_strategies.atlassian.tables import Table
from ingest_strategies.jira.reading.value_types import SHAPES

BODY = OBJECT
Reads = Literal["site", "project", "board", "field", "issue"]


@dataclass(frozen=True)
class FieldColumn:
    """`field`: the JSON name. A name with a dot, such as `issue.id`, is not in the object itself: its reader adds the value."""

    name: str
    field: str
    shape: str
    source_type: str = ""
    nullable: bool = True
    description: str | None = None

    def as_column(self) -> Column:
        shape = SHAPES[self.shape]
        return Column(
            name=self.name,
            source_type=self.source_type or self.shape,
            arrow=shape.arrow,
            nullable=self.nullable,
            logical=shape.logical,
            description=self.description,
        )


@dataclass(frozen=True)
class JiraTable(Table[FieldColumn]):
    """`reads`: by what it is read. A table that is read by issue has a segment for each project, and its slices are sets of issues;
    every other one is read whole, one slice for each segment."""

    reads: Reads = "site"


def required(name: str, field: str | None = None, shape: str = "text", description: str | None = None) -> FieldColumn:
    return FieldColumn(name, field or name, shape, nullable=False, description=description)


PAYLOAD = FieldColumn(BODY, "", "json", "object", nullable=False, description="the untouched object")
OF_PROJECT = (required("project_id", "project.id"), required("project", "project.key"))
OF_ISSUE = (required("issue_id", "issue.id"), FieldColumn("issue_key", "issue.key", "text"))
OF_ISSUE_CHANGE = FieldColumn(
    "issue_updated",
    "issue.updated",
    "instant",
    "datetime",
    nullable=False,
    description="when the issue was changed last",
)
ACL = (
    FieldColumn(
        "readers",
        "acl.readers",
        "texts",
        description="effective: user:<id>, group:<id>, class:<id>, anyone; NULL: not requested (endpoint's `acl`)",
    ),
    FieldColumn("acl", "acl.levels", "json", description="the levels that a reader must pass, all of them"),
)
