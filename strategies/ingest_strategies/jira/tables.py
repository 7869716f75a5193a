"""The datasets: their columns, and where in an object each value is. `body` is the untouched object as JSON text."""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest_ray.sdk.types import Column
from ingest_strategies.jira.reading.value_types import SHAPES

BODY = "payload"


@dataclass(frozen=True)
class Part:
    """`field`: the JSON name; `issue.x` and `log.x` are told by whoever found the object, not by the object."""

    column: str
    field: str
    shape: str
    source_type: str = ""
    nullable: bool = True
    description: str | None = None

    def as_column(self) -> Column:
        shape = SHAPES[self.shape]
        return Column(
            name=self.column,
            source_type=self.source_type or self.shape,
            arrow=shape.arrow,
            nullable=self.nullable,
            logical=shape.logical,
            description=self.description,
        )


@dataclass(frozen=True)
class Table:
    """`nested`: the values are under `fields`, but for those of the head. `child`: what of an issue its rows are."""

    name: str
    kind: str
    parts: tuple[Part, ...]
    key: tuple[str, ...] = ("id",)
    cursor: str | None = None
    child: str | None = None
    models: tuple[str, ...] = ()
    is_unit: bool = True
    title: str = ""


def _id(column: str = "id", field: str = "id") -> Part:
    return Part(column, field, "text", nullable=False)


_BODY = Part(BODY, "", "json", "object", nullable=False, description="the object as it came, with all of its lists")
_ISSUE = (Part("issue_id", "issue.id", "text", nullable=False), Part("issue_key", "issue.key", "text"))

ISSUES = Table(
    name="jira.issues",
    kind="issue",
    title="Issues",
    cursor="updated",
    models=("cdm.work.item",),
    parts=(
        _id(),
        _id("key", "key"),
        Part("project", "project", "project key", "project", nullable=False),
        Part("project_id", "project", "project id", "project", nullable=False),
        Part("updated", "updated", "instant", "datetime", nullable=False),
        Part("created", "created", "instant", "datetime"),
        Part("summary", "summary", "text", "string"),
        Part("issue_type", "issuetype", "name", "issuetype"),
        Part("status", "status", "status name", "status"),
        Part("status_category", "status", "category", "status"),
        Part("priority", "priority", "name", "priority"),
        Part("resolution", "resolution", "name", "resolution"),
        Part("resolved", "resolutiondate", "instant", "datetime"),
        Part("due", "duedate", "day", "date"),
        Part("creator_id", "creator", "person", "user"),
        Part("reporter_id", "reporter", "person", "user"),
        Part("assignee_id", "assignee", "person", "user"),
        Part("labels", "labels", "texts", "array<string>"),
        Part("components", "components", "names", "array<component>"),
        Part("fix_versions", "fixVersions", "names", "array<version>"),
        Part("parent_id", "parent", "id", "issue"),
    ),
)
COMMENTS = Table(
    name="jira.comments",
    kind="comment",
    title="Comments",
    cursor="updated",
    child="comment",
    models=("cdm.work.comment",),
    parts=(
        _id(),
        *_ISSUE,
        Part("updated", "updated", "instant", "datetime", nullable=False),
        Part("created", "created", "instant", "datetime"),
        Part("author_id", "author", "person", "user"),
        Part("editor_id", "updateAuthor", "person", "user"),
        Part("visibility", "visibility", "json", "visibility"),
        _BODY,
    ),
)
WORKLOGS = Table(
    name="jira.worklogs",
    kind="worklog",
    title="Worklogs",
    cursor="updated",
    child="worklog",
    models=("cdm.work.worklog",),
    parts=(
        _id(),
        Part("issue_id", "issue.id", "text", description="NULL in the trace of a deleted worklog"),
        Part("issue_key", "issue.key", "text"),
        Part("updated", "updated", "instant", "datetime", nullable=False),
        Part("created", "created", "instant", "datetime"),
        Part("started", "started", "instant", "datetime"),
        Part("time_spent_s", "timeSpentSeconds", "int", "number"),
        Part("author_id", "author", "person", "user"),
        Part("visibility", "visibility", "json", "visibility"),
        Part("deleted_at", "log.deleted", "instant", "datetime", description="from the feed of deleted worklogs"),
        Part(BODY, "", "json", "object", description="the object as it came; NULL in the trace of a deleted worklog"),
    ),
)
CHANGELOGS = Table(
    name="jira.changelogs",
    kind="changelog",
    title="Changelogs",
    cursor="created",
    child="changelog",
    parts=(
        _id(),
        Part("issue_id", "issue.id", "text", nullable=False),
        Part("created", "log.created", "instant", "datetime", nullable=False),
        Part("author_id", "author", "person", "user"),
        Part("items", "items", "json", "array<change>"),
        _BODY,
    ),
)
PROJECTS = Table(
    name="jira.projects",
    kind="project",
    title="Projects",
    models=("cdm.work.project",),
    parts=(
        _id(),
        _id("key", "key"),
        Part("name", "name", "text"),
        Part("description", "description", "text"),
        Part("project_type", "projectTypeKey", "text"),
        Part("lead_id", "lead", "person", "user"),
        Part("archived", "archived", "bool"),
        _BODY,
    ),
)
USERS = Table(
    name="jira.users",
    kind="user",
    title="Users",
    key=("account_id",),
    models=("cdm.work.user",),
    parts=(
        Part("account_id", "", "person", "user", nullable=False),
        Part("display_name", "displayName", "text"),
        Part("email", "emailAddress", "text"),
        Part("active", "active", "bool"),
        Part("account_type", "accountType", "text"),
        Part("time_zone", "timeZone", "text"),
        _BODY,
    ),
)


def _listed(name: str, kind: str, title: str, *more: Part) -> Table:
    """A list that feeds filter options, and has no unit."""
    parts = (
        _id(),
        Part("name", "name", "text", nullable=False),
        *more,
        Part("description", "description", "text"),
        _BODY,
    )
    return Table(name=name, kind=kind, parts=parts, is_unit=False, title=title)


STATUSES = _listed("jira.statuses", "status", "Statuses", Part("category", "statusCategory", "json", "category"))
PRIORITIES = _listed("jira.priorities", "priority", "Priorities")
ISSUE_TYPES = _listed("jira.issue_types", "issuetype", "Issue types", Part("subtask", "subtask", "bool"))
LISTS = {STATUSES.name: "status", PRIORITIES.name: "priority", ISSUE_TYPES.name: "issuetype"}

TABLES = {
    table.name: table
    for table in (PROJECTS, ISSUES, USERS, COMMENTS, WORKLOGS, CHANGELOGS, STATUSES, PRIORITIES, ISSUE_TYPES)
}


def issue_parts(custom: Sequence[Part], *, is_cloud: bool) -> tuple[Part, ...]:
    """The common fields, the description as this deployment has it, the custom fields, the whole."""
    rich = "json" if is_cloud else "text"
    return (*ISSUES.parts, Part("description", "description", rich, "string"), *custom, _BODY)
