"""Which operations of Jira Cloud each unit calls: its scopes, its rate limits and its points follow from them.

`GET /path/{}`, as Atlassian's OpenAPI file has it. `""`: every unit, and the collection of metadata.
"""

ISSUE_READS = (
    "POST /rest/api/3/search/approximate-count",
    "POST /rest/api/3/search/jql",
    "POST /rest/api/3/issue/bulkfetch",
    "GET /rest/api/3/issue/{}",
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
    "filter options": (
        "GET /rest/api/3/status",
        "GET /rest/api/3/priority/search",
        "GET /rest/api/3/issuetype",
    ),
}
