"""Every answer fits Atlassian's OpenAPI files; what those files get wrong is listed in `openapi.py`."""

from typing import Any

import httpx
import pytest

from ingest_ray.simulators.atlassian import Simulation
from tests.atlassian.conftest import opened
from tests.atlassian.openapi import violations

Record = dict[str, Any]


def asked(client: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    answer = client.request(method, path, json=body)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
    return answer.json()


def busiest(sim: Simulation) -> tuple[Record, list[Record]]:
    """The issue with most comments and worklogs, and all issues."""
    records = list(sim.expected("issues"))
    return max(
        records, key=lambda r: len(r["issue"]["fields"]["comment"]) + 5 * len(r["issue"]["fields"]["worklog"])
    ), records


JQL = [
    'project = "A" AND status in ("To Do", Done) ORDER BY updated DESC',
    "assignee is empty OR created >= startOfDay(-1)",
    "NOT (key = A-1)",
    "status was Done before now() by currentUser()",
    "project = and",
]
OTHER_LISTS = (
    ("project/{projectIdOrKey}/versions", "project/{project}/versions"),
    ("project/{projectIdOrKey}/version", "project/{project}/version"),
    ("project/{projectIdOrKey}/components", "project/{project}/components"),
    ("project/{projectIdOrKey}/component", "project/{project}/component"),
    ("version/{id}", "version/30000"),
    ("component/{id}", "component/20000"),
    ("project/type", "project/type"),
    ("project/type/{projectTypeKey}", "project/type/software"),
    ("projectCategory", "projectCategory"),
    ("projectCategory/{id}", "projectCategory/10000"),
    ("statuscategory", "statuscategory"),
    ("statuscategory/{idOrKey}", "statuscategory/done"),
    ("status/{idOrName}", "status/10000"),
    ("statuses/search", "statuses/search"),
    ("priority/search", "priority/search"),
    ("priority/{id}", "priority/1"),
    ("resolution/search", "resolution/search"),
    ("resolution/{id}", "resolution/10000"),
    ("issuetype/{id}", "issuetype/10000"),
    ("issueLinkType/{issueLinkTypeId}", "issueLinkType/10000"),
    ("label", "label"),
    ("events", "events"),
    ("dashboard", "dashboard"),
    ("dashboard/search", "dashboard/search"),
    ("dashboard/{id}", "dashboard/10000"),
    ("filter/search", "filter/search?expand=jql,owner,sharePermissions,viewUrl"),
    ("filter/my", "filter/my"),
    ("filter/favourite", "filter/favourite"),
    ("filter/{id}", "filter/10000"),
    ("workflow/search", "workflow/search?expand=statuses"),
    ("field/{fieldId}/context", "field/customfield_10020/context"),
    ("field/{fieldId}/context/{contextId}/option", "field/customfield_10026/context/10100/option"),
    ("role", "role"),
    ("applicationrole", "applicationrole"),
    ("applicationrole/{key}", "applicationrole/jira-software"),
    ("permissionscheme", "permissionscheme?expand=all"),
    ("permissionscheme/{schemeId}", "permissionscheme/10000?expand=permissions"),
    ("issuesecurityschemes", "issuesecurityschemes"),
    ("issuesecurityschemes/{id}", "issuesecurityschemes/10000"),
    ("issuesecurityschemes/search", "issuesecurityschemes/search"),
    ("issuesecurityschemes/project", "issuesecurityschemes/project"),
    ("issuesecurityschemes/level", "issuesecurityschemes/level"),
    ("issuesecurityschemes/level/member", "issuesecurityschemes/level/member?levelId=10100"),
    ("issuesecurityschemes/{issueSecuritySchemeId}/members", "issuesecurityschemes/10000/members"),
    ("project/{projectKeyOrId}/issuesecuritylevelscheme", "project/{project}/issuesecuritylevelscheme"),
    ("securitylevel/{id}", "securitylevel/10100"),
    ("groups/picker", "groups/picker"),
    ("group", "group?groupname=administrators"),
    ("user/assignable/search", "user/assignable/search?project={project}"),
    ("user/assignable/multiProjectSearch", "user/assignable/multiProjectSearch?projectKeys={project}"),
    ("component/{id}/relatedIssueCounts", "component/20000/relatedIssueCounts"),
    ("version/{id}/relatedIssueCounts", "version/30000/relatedIssueCounts"),
    ("version/{id}/unresolvedIssueCount", "version/30000/unresolvedIssueCount"),
    ("issue/createmeta/{projectIdOrKey}/issuetypes", "issue/createmeta/{project}/issuetypes"),
    ("issue/createmeta/{projectIdOrKey}/issuetypes/{issueTypeId}", "issue/createmeta/{project}/issuetypes/10000"),
    ("customFieldOption/{id}", "customFieldOption/10050"),
    ("screens", "screens"),
    ("notificationscheme", "notificationscheme"),
    ("project/{projectKeyOrId}/notificationscheme", "project/{project}/notificationscheme"),
    ("application-properties", "application-properties"),
    ("attachment/meta", "attachment/meta"),
    ("permissions", "permissions"),
    ("configuration", "configuration"),
    ("jql/autocompletedata", "jql/autocompletedata"),
    ("filter/{id}/permission", "filter/10000/permission"),
    ("user/groups", "user/groups?accountId={me}"),
    ("user/search", "user/search?query=a"),
    ("user/viewissue/search", "user/viewissue/search?query=.&issueKey={key}"),
    ("issue/{issueIdOrKey}/transitions", "issue/{key}/transitions"),
    ("issue/{issueIdOrKey}/watchers", "issue/{key}/watchers"),
    ("issue/{issueIdOrKey}/votes", "issue/{key}/votes"),
    ("issue/{issueIdOrKey}/remotelink", "issue/100009/remotelink"),
    ("issue/{issueIdOrKey}/properties", "issue/{key}/properties"),
    ("issue/{issueIdOrKey}/editmeta", "issue/{key}/editmeta"),
    ("issue/{issueIdOrKey}", "issue/{key}?expand=renderedFields,transitions,operations,editmeta,names,schema"),
)


def test_jira_cloud_answers_fit_the_openapi_file(jira: Simulation) -> None:
    record, records = busiest(jira)
    key, project = record["key"], record["project"]
    file = next(r for r in records if r["issue"]["fields"]["attachment"])["issue"]["fields"]["attachment"][0]["id"]
    logs = [int(w["id"]) for r in records for w in r["issue"]["fields"]["worklog"]][:5]
    comments = [int(c["id"]) for r in records for c in r["issue"]["fields"]["comment"]][:5]
    assert logs
    assert comments
    with opened(jira) as client:
        me = asked(client, "GET", "/rest/api/3/myself")["accountId"]
        group = asked(client, "GET", "/rest/api/3/group/bulk")["values"][1]["groupId"]
        check = {
            "projectPermissions": [{"permissions": ["BROWSE_PROJECTS"], "issues": [100_000], "projects": [10_000]}]
        }
        calls: list[tuple[str, str, str, Any]] = [
            ("GET", "search/jql", f"search/jql?jql=project={project}&fields=*all&expand=changelog,names,schema", None),
            ("POST", "search/jql", "search/jql", {"jql": f"project={project}"}),
            ("POST", "search/approximate-count", "search/approximate-count", {"jql": f"project={project}"}),
            (
                "POST",
                "issue/bulkfetch",
                "issue/bulkfetch",
                {"issueIdsOrKeys": [key], "fields": ["*all"], "expand": ["changelog"]},
            ),
            ("GET", "issue/{issueIdOrKey}", f"issue/{key}?expand=changelog", None),
            ("GET", "issue/{issueIdOrKey}/changelog", f"issue/{key}/changelog", None),
            ("POST", "changelog/bulkfetch", "changelog/bulkfetch", {"issueIdsOrKeys": [key]}),
            ("GET", "issue/{issueIdOrKey}/comment", f"issue/{key}/comment", None),
            ("GET", "issue/{issueIdOrKey}/worklog", f"issue/{key}/worklog", None),
            ("POST", "comment/list", "comment/list", {"ids": comments}),
            ("POST", "worklog/list", "worklog/list", {"ids": logs}),
            ("GET", "worklog/updated", "worklog/updated?since=0", None),
            ("GET", "worklog/deleted", "worklog/deleted?since=0", None),
            ("GET", "project/search", "project/search?maxResults=2&expand=lead,description,insight", None),
            ("GET", "project/{projectIdOrKey}", f"project/{project}", None),
            ("GET", "project", "project", None),
            ("GET", "myself", "myself", None),
            ("GET", "serverInfo", "serverInfo", None),
            ("GET", "field", "field", None),
            ("GET", "field/search", "field/search", None),
            ("GET", "users/search", "users/search", None),
            ("GET", "user", f"user?accountId={me}", None),
            ("GET", "user/bulk", f"user/bulk?accountId={me}", None),
            ("GET", "group/bulk", "group/bulk", None),
            ("GET", "group/member", f"group/member?groupId={group}", None),
            ("GET", "attachment/{id}", f"attachment/{file}", None),
            ("GET", "status", "status", None),
            ("GET", "priority", "priority", None),
            ("GET", "resolution", "resolution", None),
            ("GET", "issuetype", "issuetype", None),
            ("GET", "issueLinkType", "issueLinkType", None),
            ("GET", "project/{projectIdOrKey}/role", f"project/{project}/role", None),
            ("GET", "project/{projectIdOrKey}/role/{id}", f"project/{project}/role/10002", None),
            (
                "GET",
                "project/{projectKeyOrId}/permissionscheme",
                f"project/{project}/permissionscheme?expand=all",
                None,
            ),
            ("GET", "project/{projectKeyOrId}/securitylevel", f"project/{project}/securitylevel", None),
            ("GET", "project/{projectIdOrKey}/statuses", f"project/{project}/statuses", None),
            ("GET", "mypermissions", "mypermissions?permissions=BROWSE_PROJECTS", None),
            ("POST", "permissions/check", "permissions/check", check),
        ]
        for method, template, path, body in calls:
            document = asked(client, method, f"/rest/api/3/{path}", body)
            assert document, path
            assert violations("jira-cloud-v3", method, f"/rest/api/3/{template}", document) == [], path
        faults: dict[str, list[str]] = {}
        for template, path in OTHER_LISTS:
            where = path.format(key=key, project=project, me=me)
            document = asked(client, "GET", f"/rest/api/3/{where}")
            assert document or "properties" in path, path
            found = violations("jira-cloud-v3", "GET", f"/rest/api/3/{template}", document)
            faults |= {path: found} if found else {}
        assert faults == {}
        parsed = asked(client, "POST", "/rest/api/3/jql/parse", {"queries": JQL})
        assert [sorted(query) for query in parsed["queries"]] == [["query", "structure"]] * 4 + [["errors", "query"]]
        assert violations("jira-cloud-v3", "POST", "/rest/api/3/jql/parse", parsed) == []
        board = asked(client, "GET", "/rest/agile/1.0/board")
        assert violations("jira-agile-1.0", "GET", "/rest/agile/1.0/board", board) == []


def test_jira_data_center_answers_fit_the_openapi_file(jira_dc: Simulation) -> None:
    record, records = busiest(jira_dc)
    key, project = record["key"], record["project"]
    file = next(r for r in records if r["issue"]["fields"]["attachment"])["issue"]["fields"]["attachment"][0]["id"]
    calls = (
        ("search", "search?jql=&fields=*all&expand=changelog"),
        ("issue/{issueIdOrKey}", f"issue/{key}"),
        ("issue/{issueIdOrKey}/comment", f"issue/{key}/comment"),
        ("issue/{issueIdOrKey}/worklog", f"issue/{key}/worklog"),
        ("myself", "myself"),
        ("serverInfo", "serverInfo"),
        ("field", "field"),
        ("project", "project"),
        ("project/{projectIdOrKey}", f"project/{project}"),
        ("user/search", "user/search?username=."),
        ("user/list", "user/list"),
        ("group/member", "group/member?groupname=users"),
        ("attachment/{id}", f"attachment/{file}"),
        ("status", "status"),
        ("priority", "priority"),
        ("issuetype", "issuetype"),
        ("worklog/updated", "worklog/updated?since=0"),
        ("project/{projectKeyOrId}/permissionscheme", f"project/{project}/permissionscheme?expand=all"),
        ("project/{projectIdOrKey}/role/{id}", f"project/{project}/role/10002"),
        ("issue/{issueIdOrKey}/watchers", f"issue/{key}/watchers"),
        ("issue/{issueIdOrKey}/votes", f"issue/{key}/votes"),
        ("customFields/{customFieldId}/options", "customFields/10020/options"),
        ("groups/picker", "groups/picker"),
        ("user/assignable/search", "user/assignable/search?project={project}"),
        ("user/assignable/multiProjectSearch", "user/assignable/multiProjectSearch?projectKeys={project}"),
        ("component/{id}/relatedIssueCounts", "component/20000/relatedIssueCounts"),
        ("version/{id}/relatedIssueCounts", "version/30000/relatedIssueCounts"),
        ("version/{id}/unresolvedIssueCount", "version/30000/unresolvedIssueCount"),
        ("issue/createmeta/{projectIdOrKey}/issuetypes", "issue/createmeta/{project}/issuetypes"),
        ("issue/createmeta/{projectIdOrKey}/issuetypes/{issueTypeId}", "issue/createmeta/{project}/issuetypes/10000"),
        ("customFieldOption/{id}", "customFieldOption/10050"),
        ("notificationscheme", "notificationscheme"),
        ("application-properties", "application-properties"),
        ("attachment/meta", "attachment/meta"),
        # Not `screens`, which has no schema, nor lists of objects that the file declares as one object or as texts.
        ("permissions", "permissions"),
        ("configuration", "configuration"),
        ("filter/{id}/permission", "filter/10000/permission"),
        ("issuesecurityschemes", "issuesecurityschemes"),
        ("issuesecurityschemes/{id}", "issuesecurityschemes/10000"),
        ("project/{projectKeyOrId}/issuesecuritylevelscheme", f"project/{project}/issuesecuritylevelscheme"),
        ("permissionscheme/{schemeId}", "permissionscheme/10000?expand=all"),
        ("securitylevel/{id}", "securitylevel/10100"),
    )
    with opened(jira_dc) as client:
        for template, path in calls:
            document = asked(client, "GET", f"/rest/api/2/{path.replace('{project}', project)}")
            assert violations("jira-dc-10.3", "GET", f"/api/2/{template}", document) == [], path


def test_confluence_cloud_v2_answers_fit_the_openapi_file(wiki: Simulation) -> None:
    records = list(wiki.expected())
    page = max(
        (r for r in records if r["type"] == "page"), key=lambda r: len(r["comments"]) + 2 * len(r["attachments"])
    )["id"]
    post = next(r for r in records if r["type"] == "blogpost")["id"]
    home = records[0]["id"]
    calls = [
        ("pages", "pages?body-format=storage&limit=100"),
        ("pages/{id}", f"pages/{page}?body-format=storage&include-labels=true&include-versions=true"),
        ("blogposts", "blogposts?body-format=atlas_doc_format"),
        ("blogposts/{id}", f"blogposts/{post}"),
        ("spaces", "spaces?description-format=plain"),
        ("spaces/{id}", "spaces/32768"),
        ("spaces/{id}/pages", "spaces/32768/pages"),
        ("pages/{id}/footer-comments", f"pages/{page}/footer-comments?body-format=storage"),
        ("pages/{id}/inline-comments", f"pages/{page}/inline-comments?body-format=storage"),
        ("pages/{id}/labels", f"pages/{page}/labels"),
        ("pages/{id}/attachments", f"pages/{page}/attachments"),
        ("attachments", "attachments"),
        ("pages/{id}/versions", f"pages/{page}/versions"),
        ("pages/{id}/ancestors", f"pages/{page}/ancestors"),
        ("pages/{id}/descendants", f"pages/{home}/descendants?depth=10"),
        ("pages/{id}/direct-children", f"pages/{home}/direct-children"),
        ("pages/{id}/children", f"pages/{home}/children"),
        ("pages/{id}/operations", f"pages/{page}/operations"),
        ("spaces/{id}/permissions", "spaces/32768/permissions"),
        ("spaces/{id}/role-assignments", "spaces/32768/role-assignments"),
        ("labels", "labels"),
        ("footer-comments", "footer-comments?body-format=storage"),
        ("inline-comments", "inline-comments?body-format=storage"),
    ]
    for inline, sort in ((False, "footer"), (True, "inline")):
        parent = next(c["parent"] for r in records for c in r["comments"] if c["parent"] and c["inline"] == inline)
        calls.append((f"{sort}-comments/{{id}}/children", f"{sort}-comments/{parent}/children?body-format=storage"))
    containers = list(wiki.expected("containers"))
    assert {c["kind"] for c in containers} >= {"folder", "whiteboard"}
    calls += [(f"{c['kind']}s/{{id}}", f"{c['kind']}s/{c['id']}") for c in containers]
    with opened(wiki) as client:
        for template, path in calls:
            document = asked(client, "GET", f"/wiki/api/v2/{path}")
            assert violations("confluence-cloud-v2", "GET", f"/{template}", document) == [], path
        users = asked(
            client, "POST", "/wiki/api/v2/users-bulk", {"accountIds": [u["account_id"] for u in wiki.expected("users")]}
        )
        assert violations("confluence-cloud-v2", "POST", "/users-bulk", users) == []


def test_confluence_cloud_v1_answers_fit_the_openapi_file(wiki: Simulation) -> None:
    record = next(r for r in wiki.expected() if r["restrictions"])
    page, group = record["id"], next(wiki.expected("groups"))["id"]
    wide = "body.storage,version,history,ancestors,space,metadata.labels,restrictions.read.restrictions.user"
    calls = (
        ("search", "search?cql=type%3Dpage&expand=content.version,content.body.storage"),
        ("search", "search?cql=type%20in%20(comment,attachment)"),
        ("content/search", f"content/search?cql=type%3Dpage&expand={wide}"),
        ("user/current", "user/current"),
        ("user", f"user?accountId={record['author']}"),
        ("user/bulk", f"user/bulk?accountId={record['author']}"),
        ("content/{id}/restriction", f"content/{page}/restriction"),
        ("content/{id}/restriction/byOperation", f"content/{page}/restriction/byOperation"),
        ("content/{id}/restriction/byOperation/{operationKey}", f"content/{page}/restriction/byOperation/read"),
        ("group", "group"),
        ("group/{groupId}/membersByGroupId", f"group/{group}/membersByGroupId"),
        ("search/user", "search/user?cql=type%3Duser"),
        ("settings/systemInfo", "settings/systemInfo"),
    )
    with opened(wiki) as client:
        for template, path in calls:
            document = asked(client, "GET", f"/wiki/rest/api/{path}")
            assert violations("confluence-cloud-v1", "GET", f"/wiki/rest/api/{template}", document) == [], path


def test_confluence_data_center_answers_fit_the_openapi_file(wiki_dc: Simulation) -> None:
    page = next(r for r in wiki_dc.expected() if r["restrictions"] and r["type"] == "page")["id"]
    calls = (
        ("content", "content?expand=body.storage,version,ancestors,history,space"),
        ("content/scan", "content/scan?expand=body.storage"),
        ("content/search", "content/search?cql=type%3Dpage"),
        ("search", "search?cql=type%3Dpage"),
        ("content/{id}", f"content/{page}"),
        ("content/{id}/history", f"content/{page}/history"),
        ("content/{id}/label", f"content/{page}/label"),
        ("content/{id}/child/comment", f"content/{page}/child/comment?depth=all"),
        ("content/{id}/restriction/byOperation", f"content/{page}/restriction/byOperation"),
        ("content/{id}/restriction/relevantViewRestrictions", f"content/{page}/restriction/relevantViewRestrictions"),
        ("space", "space?expand=description,homepage"),
        ("space/{spaceKey}", "space/SP000"),
        ("space/{spaceKey}/permissions", "space/SP000/permissions"),
        ("space/{spaceKey}/trash", "space/SP000/trash"),
        ("space/{spaceKey}/content/{type}", "space/SP000/content/page"),
        ("user/list", "user/list"),
        ("user/current", "user/current"),
        ("group", "group"),
        ("group/{groupName}/member", "group/users/member"),
        ("server-information", "server-information"),
    )
    with opened(wiki_dc) as client:
        for template, path in calls:
            document = asked(client, "GET", f"/rest/api/{path}")
            assert violations("confluence-dc-10.0", "GET", f"/rest/api/{template}", document) == [], path


def test_a_wrong_answer_would_be_noticed(jira: Simulation) -> None:
    with opened(jira) as client:
        document = asked(client, "GET", "/rest/api/3/myself")
    assert violations("jira-cloud-v3", "GET", "/rest/api/3/myself", document | {"active": "yes", "surprise": 1})
    with pytest.raises(KeyError):
        violations("jira-cloud-v3", "GET", "/rest/api/3/nothing", {})
