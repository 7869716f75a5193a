"""Which operations of Jira Cloud each unit calls: its scopes, its rate limits and its points follow from them.

`GET /path/{}`, as Atlassian's OpenAPI file has it. `""`: every unit, and the collection of metadata.
"""

ISSUE_READS = (
    "POST /rest/api/3/search/approximate-count",
    "POST /rest/api/3/search/jql",
    "POST /rest/api/3/issue/bulkfetch",
    "GET /rest/api/3/issue/{}",
)
SCHEME_READS = (
    "GET /rest/api/3/project/{}",
    "GET /rest/api/3/project/{}/permissionscheme",
    "GET /rest/api/3/project/{}/role",
    "GET /rest/api/3/project/{}/role/{}",
)
BOARD_READS = (
    "GET /rest/agile/1.0/board",
    "GET /rest/agile/1.0/board/{}",
    "GET /rest/agile/1.0/board/{}/sprint",
)
OPERATIONS: dict[str, tuple[str, ...]] = {
    "": (
        "GET /rest/api/3/myself",
        "GET /rest/api/3/serverInfo",
        "GET /rest/api/3/field",
        "GET /rest/api/3/project/search",
    ),
    "jira.issues": (*ISSUE_READS, "GET /rest/api/3/issue/{}/comment", "GET /rest/api/3/issue/{}/worklog"),
    "jira.comments": (*ISSUE_READS, "GET /rest/api/3/issue/{}/comment"),
    "jira.worklogs": (*ISSUE_READS, "GET /rest/api/3/issue/{}/worklog", "GET /rest/api/3/worklog/deleted"),
    "jira.changelogs": (
        *ISSUE_READS,
        "POST /rest/api/3/changelog/bulkfetch",
        "GET /rest/api/3/issue/{}/changelog",
    ),
    "jira.users": ("GET /rest/api/3/users/search",),
    "jira.issue_links": ISSUE_READS,
    "jira.remote_links": (*ISSUE_READS, "GET /rest/api/3/issue/{}/remotelink"),
    "jira.watchers": (*ISSUE_READS, "GET /rest/api/3/issue/{}/watchers"),
    "jira.votes": (*ISSUE_READS, "GET /rest/api/3/issue/{}/votes"),
    "jira.attachments": (*ISSUE_READS, "GET /rest/api/3/attachment/content/{}"),
    "jira.acl": (
        *ISSUE_READS,
        *SCHEME_READS,
        "GET /rest/api/3/issuesecurityschemes/level/member",
        "GET /rest/api/3/applicationrole/{}",
        "GET /rest/api/3/group/member",
    ),
    "jira.versions": ("GET /rest/api/3/project/{}", "GET /rest/api/3/project/{}/version"),
    "jira.components": ("GET /rest/api/3/project/{}", "GET /rest/api/3/project/{}/components"),
    "jira.project_roles": (
        "GET /rest/api/3/project/{}",
        "GET /rest/api/3/project/{}/role",
        "GET /rest/api/3/project/{}/role/{}",
    ),
    "jira.permission_grants": ("GET /rest/api/3/project/{}", "GET /rest/api/3/project/{}/permissionscheme"),
    "jira.security_levels": (
        "GET /rest/api/3/project/{}",
        "GET /rest/api/3/project/{}/securitylevel",
        "GET /rest/api/3/issuesecurityschemes/level/member",
    ),
    "jira.field_options": ("GET /rest/api/3/field/{}/context", "GET /rest/api/3/field/{}/context/{}/option"),
    "jira.filters": ("GET /rest/api/3/filter/search",),
    "jira.status_categories": ("GET /rest/api/3/statuscategory",),
    "jira.requests": ISSUE_READS,
    "jira.boards": (BOARD_READS[0],),
    "jira.sprints": BOARD_READS,
    "jira.sprint_issues": (*BOARD_READS, "GET /rest/agile/1.0/sprint/{}/issue"),
    "jira.groups": ("GET /rest/api/3/group/bulk",),
    "jira.group_members": ("GET /rest/api/3/group/bulk", "GET /rest/api/3/group/member"),
    "filter options": (
        "GET /rest/api/3/status",
        "GET /rest/api/3/priority/search",
        "GET /rest/api/3/issuetype",
    ),
}
