"""What hangs on an issue, one row each. The cursor is the change of the issue: some of these change without it (links from the other
side, watchers, votes), so only a full run is complete."""

from ingest_strategies.jira.columns import ACL, OF_ISSUE, OF_ISSUE_CHANGE, PAYLOAD, FieldColumn, JiraTable, required

ISSUE_LINKS = JiraTable(
    name="jira.issue_links",
    kind="link",
    title="Links between issues, and to their parents",
    reads="issue",
    key=("issue_id", "id"),
    cursor="issue_updated",
    models=("cdm.work.link",),
    columns=(
        required("id", "link.id", description="of the link, which both issues have; parent-<issue id> for the parent"),
        *OF_ISSUE,
        OF_ISSUE_CHANGE,
        FieldColumn("type", "link.type", "text", description="the name of the link's type, or Parent"),
        FieldColumn("direction", "link.direction", "text", description="outward or inward"),
        FieldColumn("description", "link.description", "text", description="such as blocks, or is blocked by"),
        FieldColumn("other_issue_id", "link.other_id", "text"),
        FieldColumn("other_issue_key", "link.other_key", "text"),
        PAYLOAD,
    ),
)
REMOTE_LINKS = JiraTable(
    name="jira.remote_links",
    kind="remotelink",
    title="Links of issues to other sites",
    reads="issue",
    key=("issue_id", "id"),
    cursor="issue_updated",
    models=("cdm.work.link",),
    columns=(
        required("id", shape="int text"),
        *OF_ISSUE,
        OF_ISSUE_CHANGE,
        FieldColumn("global_id", "globalId", "text"),
        FieldColumn("relationship", "relationship", "text"),
        FieldColumn("url", "object", "remote url", "object"),
        FieldColumn("title", "object", "remote title", "object"),
        FieldColumn("application", "application", "json", "application"),
        PAYLOAD,
    ),
)


def _people(name: str, kind: str, title: str) -> JiraTable:
    return JiraTable(
        name=name,
        kind=kind,
        title=title,
        reads="issue",
        key=("issue_id", "account_id"),
        cursor="issue_updated",
        columns=(
            *OF_ISSUE,
            OF_ISSUE_CHANGE,
            FieldColumn("account_id", "", "person", "user", nullable=False),
            FieldColumn("display_name", "displayName", "text"),
        ),
    )


WATCHERS = _people("jira.watchers", "watcher", "Watchers of issues")
VOTES = _people("jira.votes", "vote", "Voters of issues")
ATTACHMENTS = JiraTable(
    name="jira.attachments",
    kind="attachment",
    title="Attachments",
    reads="issue",
    cursor="issue_updated",
    columns=(
        required("id"),
        *OF_ISSUE,
        OF_ISSUE_CHANGE,
        FieldColumn("filename", "filename", "text"),
        FieldColumn("media_type", "mimeType", "text"),
        FieldColumn("file_size", "size", "int", "number"),
        FieldColumn("author_id", "author", "person", "user"),
        FieldColumn("created", "created", "instant", "datetime"),
        FieldColumn("content_url", "content", "text"),
        FieldColumn(
            "object_uri",
            "object.uri",
            "text",
            description="where its bytes are; NULL: not requested, or see `object_fault`",
        ),
        FieldColumn("sha256", "object.sha256", "text", description="of the bytes, as 64 hexadecimal digits"),
        FieldColumn("object_fault", "object.fault", "text", description="why the requested bytes are missing"),
        *ACL,
        PAYLOAD,
    ),
)
REQUESTS = JiraTable(
    name="jira.requests",
    kind="request",
    title="Requests of service desks with their SLAs",
    reads="issue",
    key=("issue_id",),
    cursor="issue_updated",
    columns=(
        *OF_ISSUE,
        OF_ISSUE_CHANGE,
        FieldColumn("service_desk_id", "serviceDeskId", "int text"),
        FieldColumn("request_type_id", "requestTypeId", "int text"),
        FieldColumn("status", "currentStatus", "request status", "status"),
        FieldColumn("status_category", "currentStatus", "request category", "status"),
        FieldColumn("reporter_id", "reporter", "person", "user"),
        FieldColumn("created", "createdDate", "date of", "date"),
        FieldColumn("web_url", "_links", "web link", "links", description="in the portal"),
        FieldColumn("slas", "request.slas", "json", "array<sla>"),
        PAYLOAD,
    ),
)
ACLS = JiraTable(
    name="jira.acl",
    is_reread=True,
    kind="acl",
    title="Who may read each issue",
    reads="issue",
    key=("issue_id",),
    models=("cdm.work.access",),
    columns=(
        *OF_ISSUE,
        required("project", "issue.project"),
        FieldColumn("security_level_id", "acl.security_id", "text"),
        FieldColumn("security_level", "acl.security", "text"),
        required("is_restricted", "acl.is_restricted", "bool", "a security level narrows the project's readers"),
        required("readers", "acl.readers", "texts", "effective: user:<id>, group:<id>, class:<id>, anyone"),
        required("acl", "acl.levels", "json", "levels: [{source_type, source_id, readers}]"),
    ),
)
ISSUE_TABLES = (ISSUE_LINKS, REMOTE_LINKS, WATCHERS, VOTES, ATTACHMENTS, REQUESTS, ACLS)
