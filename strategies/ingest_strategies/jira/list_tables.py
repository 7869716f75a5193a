"""The lists of a Jira site beside its issues. Each run reads them whole: what has vanished goes with the run."""

from ingest_strategies.jira.columns import OF_PROJECT, PAYLOAD, FieldColumn, JiraTable, required

STATUS_CATEGORIES = JiraTable(
    name="jira.status_categories",
    kind="statuscategory",
    title="Status categories",
    columns=(
        required("id", shape="int text"),
        FieldColumn("key", "key", "text"),
        FieldColumn("name", "name", "text"),
        FieldColumn("color", "colorName", "text"),
        PAYLOAD,
    ),
)
FILTERS = JiraTable(
    name="jira.filters",
    kind="filter",
    title="Saved filters",
    columns=(
        required("id"),
        FieldColumn("name", "name", "text"),
        FieldColumn("description", "description", "text"),
        FieldColumn("owner_id", "owner", "person", "user"),
        FieldColumn("jql", "jql", "text"),
        FieldColumn("favourite", "favourite", "bool"),
        FieldColumn("share_permissions", "sharePermissions", "json", "array<permission>"),
        FieldColumn("web_url", "viewUrl", "text"),
        PAYLOAD,
    ),
)
GROUPS = JiraTable(
    name="jira.groups",
    kind="group",
    title="Groups",
    models=("cdm.identity.group",),
    columns=(
        required("id", "group.id", description="Data Center has no id of a group but its name"),
        FieldColumn("name", "name", "text"),
        PAYLOAD,
    ),
)
GROUP_MEMBERS = JiraTable(
    name="jira.group_members",
    kind="member",
    title="Members of groups",
    key=("group_id", "account_id"),
    models=("cdm.identity.member",),
    columns=(
        required("group_id", "group.id"),
        FieldColumn("group_name", "group.name", "text"),
        FieldColumn("account_id", "", "person", "user", nullable=False),
        FieldColumn("display_name", "displayName", "text"),
        FieldColumn("active", "active", "bool"),
    ),
)
VERSIONS = JiraTable(
    name="jira.versions",
    kind="version",
    title="Versions",
    reads="project",
    columns=(
        required("id"),
        *OF_PROJECT,
        FieldColumn("name", "name", "text"),
        FieldColumn("description", "description", "text"),
        FieldColumn("archived", "archived", "bool"),
        FieldColumn("released", "released", "bool"),
        FieldColumn("overdue", "overdue", "bool"),
        FieldColumn("start_date", "startDate", "day of", "date"),
        FieldColumn("release_date", "releaseDate", "day of", "date"),
        PAYLOAD,
    ),
)
COMPONENTS = JiraTable(
    name="jira.components",
    kind="component",
    title="Components",
    reads="project",
    columns=(
        required("id"),
        *OF_PROJECT,
        FieldColumn("name", "name", "text"),
        FieldColumn("description", "description", "text"),
        FieldColumn("lead_id", "lead", "person", "user"),
        FieldColumn("assignee_type", "assigneeType", "text"),
        PAYLOAD,
    ),
)
PROJECT_ROLES = JiraTable(
    name="jira.project_roles",
    kind="role",
    title="Roles of projects and who has them",
    reads="project",
    key=("project_id", "id"),
    columns=(
        required("id", shape="int text"),
        *OF_PROJECT,
        FieldColumn("name", "name", "text"),
        FieldColumn("description", "description", "text"),
        FieldColumn("members", "role.members", "texts", description="user:<id>, group:<id>"),
        FieldColumn("actors", "actors", "json", "array<actor>"),
        PAYLOAD,
    ),
)
PERMISSION_GRANTS = JiraTable(
    name="jira.permission_grants",
    kind="grant",
    title="Grants of the permission schemes of projects",
    reads="project",
    key=("project_id", "id"),
    columns=(
        required("id", shape="int text"),
        *OF_PROJECT,
        FieldColumn("scheme_id", "scheme.id", "text"),
        FieldColumn("scheme_name", "scheme.name", "text"),
        FieldColumn("permission", "permission", "text"),
        FieldColumn("holder_type", "holder", "holder type", "holder"),
        FieldColumn("holder_parameter", "holder", "holder parameter", "holder"),
        PAYLOAD,
    ),
)
SECURITY_LEVELS = JiraTable(
    name="jira.security_levels",
    kind="securitylevel",
    title="Security levels of projects and their members",
    reads="project",
    key=("project_id", "id"),
    columns=(
        required("id"),
        *OF_PROJECT,
        FieldColumn("name", "name", "text"),
        FieldColumn("description", "description", "text"),
        FieldColumn(
            "members", "level.members", "json", "array<holder>", description="NULL on Data Center, which does not tell"
        ),
        PAYLOAD,
    ),
)
FIELD_OPTIONS = JiraTable(
    name="jira.field_options",
    kind="option",
    title="Options of custom fields",
    reads="field",
    key=("field_id", "context_id", "id"),
    columns=(
        required("field_id", "field.id"),
        required("context_id", "context.id", description="empty on Data Center, which does not tell"),
        FieldColumn("context_name", "context.name", "text"),
        required("id", shape="int text"),
        FieldColumn("value", "value", "text"),
        FieldColumn("disabled", "disabled", "bool"),
        FieldColumn("parent_id", "optionId", "int text", description="of the second list of a cascading field"),
        PAYLOAD,
    ),
)
BOARDS = JiraTable(
    name="jira.boards",
    kind="board",
    title="Boards",
    columns=(
        required("id", shape="int text"),
        FieldColumn("name", "name", "text"),
        FieldColumn("type", "type", "text", description="scrum, kanban or simple"),
        FieldColumn("project", "location", "location key", "location"),
        FieldColumn("is_private", "isPrivate", "bool"),
        PAYLOAD,
    ),
)
SPRINTS = JiraTable(
    name="jira.sprints",
    kind="sprint",
    title="Sprints",
    reads="board",
    models=("cdm.work.sprint",),
    columns=(
        required("id", shape="int text"),
        FieldColumn("name", "name", "text"),
        FieldColumn("state", "state", "lower text", description="future, active or closed"),
        FieldColumn("board_id", "originBoardId", "int text", description="the board that it was made on"),
        FieldColumn("goal", "goal", "text"),
        FieldColumn("started_at", "startDate", "instant", "datetime"),
        FieldColumn("ended_at", "endDate", "instant", "datetime"),
        FieldColumn("completed_at", "completeDate", "instant", "datetime"),
        PAYLOAD,
    ),
)
SPRINT_ISSUES = JiraTable(
    name="jira.sprint_issues",
    kind="membership",
    title="Issues of sprints",
    reads="board",
    key=("sprint_id", "issue_id"),
    models=("cdm.work.link",),
    columns=(
        required("sprint_id", "sprint.id"),
        FieldColumn("sprint_name", "sprint.name", "text"),
        required("issue_id", "id"),
        FieldColumn("issue_key", "key", "text"),
    ),
)
LIST_TABLES = (
    STATUS_CATEGORIES, FILTERS, GROUPS, GROUP_MEMBERS, VERSIONS, COMPONENTS, PROJECT_ROLES, PERMISSION_GRANTS, SECURITY_LEVELS,
    FIELD_OPTIONS, BOARDS, SPRINTS, SPRINT_ISSUES,
)  # fmt: skip
