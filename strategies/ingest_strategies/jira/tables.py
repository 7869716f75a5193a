"""The datasets of Jira: their columns, and the field of the object that each value comes from.

`payload` is the untouched object as JSON text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest_ray.sdk.types import Column
from ingest_strategies.atlassian.tables import PAYLOAD, Table
from ingest_strategies.jira.reading.value_types import SHAPES

BODY = PAYLOAD


@dataclass(frozen=True)
class FieldColumn:
    """`field`: the JSON name. `issue.x` and `log.x` are not in the object itself: its reader adds them."""

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


def _id(name: str = "id", field: str = "id") -> FieldColumn:
    return FieldColumn(name, field, "text", nullable=False)


_BODY = FieldColumn(BODY, "", "json", "object", nullable=False, description="the untouched object, with complete lists")
_ISSUE = (FieldColumn("issue_id", "issue.id", "text", nullable=False), FieldColumn("issue_key", "issue.key", "text"))

ISSUES = Table(
    name="jira.issues",
    kind="issue",
    title="Issues",
    cursor="updated",
    models=("cdm.work.item",),
    columns=(
        _id(),
        _id("key", "key"),
        FieldColumn("project", "project", "project key", "project", nullable=False),
        FieldColumn("project_id", "project", "project id", "project", nullable=False),
        FieldColumn("updated", "updated", "instant", "datetime", nullable=False),
        FieldColumn("created", "created", "instant", "datetime"),
        FieldColumn("summary", "summary", "text", "string"),
        FieldColumn("issue_type", "issuetype", "name", "issuetype"),
        FieldColumn("status", "status", "status name", "status"),
        FieldColumn("status_category", "status", "category", "status"),
        FieldColumn("priority", "priority", "name", "priority"),
        FieldColumn("resolution", "resolution", "name", "resolution"),
        FieldColumn("resolved", "resolutiondate", "instant", "datetime"),
        FieldColumn("due", "duedate", "day", "date"),
        FieldColumn("creator_id", "creator", "person", "user"),
        FieldColumn("reporter_id", "reporter", "person", "user"),
        FieldColumn("assignee_id", "assignee", "person", "user"),
        FieldColumn("labels", "labels", "texts", "array<string>"),
        FieldColumn("components", "components", "names", "array<component>"),
        FieldColumn("fix_versions", "fixVersions", "names", "array<version>"),
        FieldColumn("parent_id", "parent", "id", "issue"),
    ),
)
COMMENTS = Table(
    name="jira.comments",
    kind="comment",
    title="Comments",
    cursor="updated",
    models=("cdm.work.comment",),
    columns=(
        _id(),
        *_ISSUE,
        FieldColumn("updated", "updated", "instant", "datetime", nullable=False),
        FieldColumn("created", "created", "instant", "datetime"),
        FieldColumn("author_id", "author", "person", "user"),
        FieldColumn("editor_id", "updateAuthor", "person", "user"),
        FieldColumn("visibility", "visibility", "json", "visibility"),
        _BODY,
    ),
)
WORKLOGS = Table(
    name="jira.worklogs",
    kind="worklog",
    title="Worklogs",
    cursor="updated",
    models=("cdm.work.worklog",),
    columns=(
        _id(),
        FieldColumn("issue_id", "issue.id", "text", description="NULL for a deleted worklog"),
        FieldColumn("issue_key", "issue.key", "text"),
        FieldColumn("updated", "updated", "instant", "datetime", nullable=False),
        FieldColumn("created", "created", "instant", "datetime"),
        FieldColumn("started", "started", "instant", "datetime"),
        FieldColumn("time_spent_s", "timeSpentSeconds", "int", "number"),
        FieldColumn("author_id", "author", "person", "user"),
        FieldColumn("visibility", "visibility", "json", "visibility"),
        FieldColumn(
            "deleted_at", "log.deleted", "instant", "datetime", description="from the feed of deleted worklogs"
        ),
        FieldColumn(BODY, "", "json", "object", description="the untouched object; NULL for a deleted worklog"),
    ),
)
CHANGELOGS = Table(
    name="jira.changelogs",
    kind="changelog",
    title="Changelogs",
    cursor="created",
    columns=(
        _id(),
        FieldColumn("issue_id", "issue.id", "text", nullable=False),
        FieldColumn("created", "log.created", "instant", "datetime", nullable=False),
        FieldColumn("author_id", "author", "person", "user"),
        FieldColumn("items", "items", "json", "array<change>"),
        _BODY,
    ),
)
PROJECTS = Table(
    name="jira.projects",
    kind="project",
    title="Projects",
    models=("cdm.work.project",),
    columns=(
        _id(),
        _id("key", "key"),
        FieldColumn("name", "name", "text"),
        FieldColumn("description", "description", "text"),
        FieldColumn("project_type", "projectTypeKey", "text"),
        FieldColumn("lead_id", "lead", "person", "user"),
        FieldColumn("archived", "archived", "bool"),
        _BODY,
    ),
)
USERS = Table(
    name="jira.users",
    kind="user",
    title="Users",
    key=("account_id",),
    models=("cdm.work.user",),
    columns=(
        FieldColumn("account_id", "", "person", "user", nullable=False),
        FieldColumn("display_name", "displayName", "text"),
        FieldColumn("email", "emailAddress", "text"),
        FieldColumn("active", "active", "bool"),
        FieldColumn("account_type", "accountType", "text"),
        FieldColumn("time_zone", "timeZone", "text"),
        _BODY,
    ),
)


def _option_list(name: str, kind: str, title: str, *more: FieldColumn) -> Table[FieldColumn]:
    """A list that feeds filter options, and has no unit."""
    columns = (
        _id(),
        FieldColumn("name", "name", "text", nullable=False),
        *more,
        FieldColumn("description", "description", "text"),
        _BODY,
    )
    return Table(name=name, kind=kind, columns=columns, is_unit=False, title=title)


STATUSES = _option_list(
    "jira.statuses", "status", "Statuses", FieldColumn("category", "statusCategory", "json", "category")
)
PRIORITIES = _option_list("jira.priorities", "priority", "Priorities")
ISSUE_TYPES = _option_list("jira.issue_types", "issuetype", "Issue types", FieldColumn("subtask", "subtask", "bool"))
LISTS = {STATUSES.name: "status", PRIORITIES.name: "priority", ISSUE_TYPES.name: "issuetype"}

TABLES = {
    table.name: table
    for table in (PROJECTS, ISSUES, USERS, COMMENTS, WORKLOGS, CHANGELOGS, STATUSES, PRIORITIES, ISSUE_TYPES)
}


def issue_columns(custom: Sequence[FieldColumn], *, is_cloud: bool) -> tuple[FieldColumn, ...]:
    """The common fields, the description in this deployment's format, the custom fields, the whole object."""
    rich = "json" if is_cloud else "text"
    return (*ISSUES.columns, FieldColumn("description", "description", rich, "string"), *custom, _BODY)
