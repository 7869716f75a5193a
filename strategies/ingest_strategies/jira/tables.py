"""The datasets of Jira: their columns, and the field of the object that each value comes from.

`payload` is the untouched object as JSON text.
"""

from collections.abc import Sequence

from ingest_strategies.jira.columns import ACL, BODY, OF_ISSUE, FieldColumn, JiraTable
from ingest_strategies.jira.columns import PAYLOAD as _BODY
from ingest_strategies.jira.columns import required as _id
from ingest_strategies.jira.issue_tables import ISSUE_TABLES
from ingest_strategies.jira.list_tables import LIST_TABLES

__all__ = ["BODY", "TABLES", "FieldColumn", "issue_columns", "reads_issues"]
_ISSUE = OF_ISSUE

ISSUES = JiraTable(
    name="jira.issues",
    kind="issue",
    title="Issues",
    cursor="updated",
    reads="issue",
    models=("cdm.work.item",),
    columns=(
        _id("id"),
        _id("key"),
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
        FieldColumn("security_level_id", "security", "id", "securitylevel"),
        FieldColumn("security_level", "security", "name", "securitylevel"),
        *ACL,
    ),
)
COMMENTS = JiraTable(
    name="jira.comments",
    kind="comment",
    title="Comments",
    cursor="updated",
    reads="issue",
    models=("cdm.work.comment",),
    columns=(
        _id("id"),
        *_ISSUE,
        FieldColumn("updated", "updated", "instant", "datetime", nullable=False),
        FieldColumn("created", "created", "instant", "datetime"),
        FieldColumn("author_id", "author", "person", "user"),
        FieldColumn("editor_id", "updateAuthor", "person", "user"),
        FieldColumn("visibility", "visibility", "json", "visibility"),
        FieldColumn("is_public", "jsdPublic", "bool", "boolean", description="customers of a service desk see it"),
        *ACL,
        _BODY,
    ),
)
WORKLOGS = JiraTable(
    name="jira.worklogs",
    kind="worklog",
    title="Worklogs",
    cursor="updated",
    reads="issue",
    models=("cdm.work.worklog",),
    columns=(
        _id("id"),
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
        *ACL,
        FieldColumn(BODY, "", "json", "object", description="the untouched object; NULL for a deleted worklog"),
    ),
)
CHANGELOGS = JiraTable(
    name="jira.changelogs",
    kind="changelog",
    title="Changelogs",
    cursor="created",
    reads="issue",
    models=("cdm.work.transition",),
    columns=(
        _id("id"),
        FieldColumn("issue_id", "issue.id", "text", nullable=False),
        FieldColumn("issue_key", "issue.key", "text"),
        FieldColumn("created", "log.created", "instant", "datetime", nullable=False),
        FieldColumn("author_id", "author", "person", "user"),
        FieldColumn("items", "items", "json", "array<change>"),
        _BODY,
    ),
)
PROJECTS = JiraTable(
    name="jira.projects",
    kind="project",
    title="Projects",
    models=("cdm.work.project",),
    columns=(
        _id("id"),
        _id("key"),
        FieldColumn("name", "name", "text"),
        FieldColumn("description", "description", "text"),
        FieldColumn("project_type", "projectTypeKey", "text"),
        FieldColumn("lead_id", "lead", "person", "user"),
        FieldColumn("archived", "archived", "bool"),
        _BODY,
    ),
)
USERS = JiraTable(
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


def _option_list(name: str, kind: str, title: str, *more: FieldColumn) -> JiraTable:
    """A list that feeds filter options, and has no unit."""
    columns = (
        _id("id"),
        FieldColumn("name", "name", "text", nullable=False),
        *more,
        FieldColumn("description", "description", "text"),
        _BODY,
    )
    return JiraTable(name=name, kind=kind, columns=columns, is_unit=False, title=title)


STATUSES = _option_list(
    "jira.statuses", "status", "Statuses", FieldColumn("category", "statusCategory", "json", "category")
)
PRIORITIES = _option_list("jira.priorities", "priority", "Priorities")
ISSUE_TYPES = _option_list("jira.issue_types", "issuetype", "Issue types", FieldColumn("subtask", "subtask", "bool"))
LISTS = {STATUSES.name: "status", PRIORITIES.name: "priority", ISSUE_TYPES.name: "issuetype"}

TABLES = {
    table.name: table
    for table in (
        *(PROJECTS, ISSUES, USERS, COMMENTS, WORKLOGS, CHANGELOGS),
        *ISSUE_TABLES,
        *LIST_TABLES,
        *(STATUSES, PRIORITIES, ISSUE_TYPES),
    )
}


def reads_issues(name: str) -> bool:
    """Whether a dataset is read by issue; every other one is a list, read whole."""
    return TABLES[name].reads == "issue"


def issue_columns(custom: Sequence[FieldColumn], *, is_cloud: bool) -> tuple[FieldColumn, ...]:
    """The common fields, the description in this deployment's format, the custom fields, the whole object."""
    rich = "json" if is_cloud else "text"
    return (*ISSUES.columns, FieldColumn("description", "description", rich, "string"), *custom, _BODY)
