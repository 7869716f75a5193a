"""The datasets of Confluence that are listed, space by space or for the whole site. No API tells what changed in them: every run reads all.

https://developer.atlassian.com/cloud/confluence/rest/v2/api-group-task/ and its siblings. Nothing that the OpenAPI file does not require
is required here, except what identifies a row.
"""

from ingest_strategies.confluence.columns import PAYLOAD, SPACE, TEXT, ContentColumn, ContentTable, required

_PARENT_PAGE = (ContentColumn("page_id"), ContentColumn("blogpost_id", description="where it is on a blog post"))

TASKS = ContentTable(
    name="confluence.task",
    kind="task",
    title="Tasks on pages and blog posts",
    extent="space",
    is_cloud_only=True,
    columns=(
        required("id"),
        ContentColumn("local_id", description="of the task on its page"),
        *SPACE,
        *_PARENT_PAGE,
        ContentColumn("status", description="complete or incomplete"),
        *TEXT,
        ContentColumn("author_id"),
        ContentColumn("assignee_id"),
        ContentColumn("completed_by_id"),
        ContentColumn("created_at", "instant"),
        ContentColumn("updated_at", "instant"),
        ContentColumn("due_at", "instant"),
        ContentColumn("completed_at", "instant"),
        PAYLOAD,
    ),
)


def _container_table(kind: str, plural: str) -> ContentTable:
    """Folders, whiteboards, databases and embeds: what a page may be below, besides another page."""
    return ContentTable(
        name=f"confluence.{kind}",
        kind=kind,
        title=plural,
        extent="space",
        is_cloud_only=True,
        models=("cdm.doc.item",),
        columns=(
            required("id"),
            required("type", description=kind),
            ContentColumn("status"),
            *SPACE,
            ContentColumn("title"),
            ContentColumn("parent_id", description="NULL at the top of the space; see `parent_type`"),
            ContentColumn("parent_type", description="page, folder, whiteboard, database, embed"),
            ContentColumn("position", "int"),
            ContentColumn("created_at", "instant"),
            ContentColumn("modified_at", "instant", description="when its current version was made"),
            ContentColumn("author_id"),
            ContentColumn("editor_id"),
            ContentColumn("owner_id"),
            ContentColumn("version", "int"),
            ContentColumn("web_url"),
            ContentColumn("embed_url", description="of embeds: what they show"),
            PAYLOAD,
        ),
    )


FOLDERS = _container_table("folder", "Folders")
WHITEBOARDS = _container_table("whiteboard", "Whiteboards")
DATABASES = _container_table("database", "Databases")
EMBEDS = _container_table("embed", "Embedded links in the tree")
CONTAINERS = {table.name: table for table in (FOLDERS, WHITEBOARDS, DATABASES, EMBEDS)}

CUSTOM_CONTENTS = ContentTable(
    name="confluence.custom_content",
    kind="custom_content",
    title="Content of apps",
    extent="space",
    is_cloud_only=True,
    columns=(
        required("id"),
        required("type", description="one of the endpoint's `custom_content_types`"),
        ContentColumn("status"),
        *SPACE,
        *_PARENT_PAGE,
        ContentColumn("custom_content_id", description="the content of an app that it is in"),
        ContentColumn("title"),
        ContentColumn("body", description="in the format `body_format`"),
        ContentColumn("body_format", description="raw or storage; NULL: no body"),
        ContentColumn("author_id"),
        ContentColumn("created_at", "instant"),
        ContentColumn("modified_at", "instant"),
        ContentColumn("editor_id"),
        ContentColumn("version", "int"),
        ContentColumn("web_url"),
        PAYLOAD,
    ),
)
SPACE_ROLES = ContentTable(
    name="confluence.space_role",
    kind="space_role",
    title="Roles in spaces, and who has them",
    key=("space_key", "principal_type", "principal_id", "role_id"),
    extent="space",
    is_cloud_only=True,
    columns=(
        *SPACE,
        required("principal_type", description="USER, GROUP or ACCESS_CLASS"),
        required("principal_id", description="of a class: its name, such as all-licensed-users"),
        required("role_id"),
        ContentColumn("role_name"),
        ContentColumn("role_type", description="SYSTEM or CUSTOM"),
        ContentColumn("permissions", "texts", description="NULL: the site does not tell"),
        PAYLOAD,
    ),
)
GROUPS = ContentTable(
    name="confluence.group",
    kind="group",
    title="Groups",
    models=("cdm.identity.group",),
    columns=(required("id", description="of Data Center: the name"), required("name"), PAYLOAD),
)
MEMBERS = ContentTable(
    name="confluence.member",
    kind="member",
    title="Members of groups",
    key=("group_id", "account_id"),
    models=("cdm.identity.member",),
    columns=(
        required("group_id"),
        ContentColumn("group_name"),
        required("account_id", description="of Data Center: the user's key"),
        ContentColumn("display_name"),
        PAYLOAD,
    ),
)

LISTED = (TASKS, *CONTAINERS.values(), CUSTOM_CONTENTS, SPACE_ROLES, GROUPS, MEMBERS)
