"""Calls the read methods of the PyPI client `jira`. Arguments: URL, user, token, mode, project key. Prints one JSON line: what each call
gave, as a count or a text, and the error of those that failed."""

import json
import sys
from collections.abc import Callable
from typing import Any

import jira

url, user, token, mode, project = sys.argv[1:]
login = {"token_auth": token} if mode == "dc" else {"basic_auth": (user, token)}
client = jira.JIRA(url, **login)
cloud = mode == "cloud"
found: dict[str, Any] = {}
failed: dict[str, str] = {}


def read(name: str, call: Callable[[], Any]) -> Any:
    try:
        value = call()
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {str(error)[:200]}"
        return None
    found[name] = len(value) if hasattr(value, "__len__") and not isinstance(value, str) else str(value)[:60]
    return value


issues = read(
    "search_issues",
    lambda: client.search_issues(
        f"project = {project} ORDER BY key ASC", maxResults=False, fields="*all", expand="changelog,renderedFields"
    ),
)
if cloud:
    read("enhanced_search_issues", lambda: client.enhanced_search_issues(f"project = {project}", maxResults=0))
    read("approximate_issue_count", lambda: client.approximate_issue_count(f"project = {project}"))
issue = max(issues, key=lambda i: len(i.fields.comment.comments) + len(i.fields.attachment))
key = issue.key
whole = read(
    "issue",
    lambda: client.issue(key, expand="transitions,operations,editmeta,names,schema,changelog,renderedFields").raw,
)
me = read("myself", client.myself)
account = me.get("accountId") or me["name"]
versions = read("project_versions", lambda: client.project_versions(project))
components = read("project_components", lambda: client.project_components(project))
comments = read("comments", lambda: client.comments(key))
worklogs = read("worklogs", lambda: client.worklogs(key))
remote = read("remote_links", lambda: client.remote_links(key))
types = read("issue_types", client.issue_types)
priorities = read("priorities", client.priorities)
resolutions = read("resolutions", client.resolutions)
statuses = read("statuses", client.statuses)
categories = read("statuscategories", client.statuscategories)
links = read("issue_link_types", client.issue_link_types)
roles = read("project_roles", lambda: client.project_roles(project))
projects = read("projects", client.projects)
boards = read("boards", lambda: client.boards(maxResults=False))
dashboards = read("dashboards", lambda: client.dashboards(maxResults=False))
groups = read("groups", lambda: client.groups(maxResults=9999))
security = read("issuesecurityschemes", client.issuesecurityschemes)
CALLS: dict[str, Callable[[], Any]] = {
    "server_info": client.server_info,
    "current_user": client.current_user,
    "fields": client.fields,
    "project": lambda: client.project(project).raw,
    "comment": lambda: client.comment(key, comments[0].id).raw,
    "worklog": lambda: (
        client.worklog(
            next(i.key for i in issues if i.fields.worklog.worklogs),
            next(i.fields.worklog.worklogs[0].id for i in issues if i.fields.worklog.worklogs),
        ).raw
    ),
    "attachment": lambda: client.attachment(
        next(i.fields.attachment[0].id for i in issues if i.fields.attachment)
    ).get(),
    "attachment_meta": client.attachment_meta,
    "transitions": lambda: client.transitions(key),
    "editmeta": lambda: client.editmeta(key)["fields"],
    "votes": lambda: client.votes(key).raw,
    "watchers": lambda: client.watchers(key).raw,
    "issue_properties": lambda: client.issue_properties(key),
    "remote_link": lambda: (
        client.remote_link(
            next(i.key for i in issues if client.remote_links(i)),
            next(str(r.id) for i in issues for r in client.remote_links(i)),
        ).raw
    ),
    "issue_type": lambda: client.issue_type(types[0].id).raw,
    "issue_types_for_project": lambda: client.issue_types_for_project(project),
    "priority": lambda: client.priority(priorities[0].id).raw,
    "resolution": lambda: client.resolution(resolutions[0].id).raw,
    "status": lambda: client.status(statuses[0].id).raw,
    "statuscategory": lambda: client.statuscategory(categories[0].id).raw,
    "issue_link_type": lambda: client.issue_link_type(links[0].id).raw,
    "issue_link": lambda: client.issue_link(next(i.fields.issuelinks[0].id for i in issues if i.fields.issuelinks)).raw,
    "component": lambda: client.component(components[0].id).raw,
    "component_count_related_issues": lambda: client.component_count_related_issues(components[0].id),
    "version": lambda: client.version(versions[0].id).raw,
    "version_count_related_issues": lambda: client.version_count_related_issues(versions[0].id),
    "version_count_unresolved_issues": lambda: client.version_count_unresolved_issues(versions[0].id),
    "project_role": lambda: client.project_role(project, next(iter(roles.values()))["id"]).raw,
    "role": client.role,
    "project_permissionscheme": lambda: client.project_permissionscheme(project).raw,
    "project_issue_security_level_scheme": lambda: client.project_issue_security_level_scheme(project).raw,
    "project_notification_scheme": lambda: client.project_notification_scheme(project).raw,
    "permissionschemes": client.permissionschemes,
    "my_permissions": lambda: client.my_permissions(
        projectKey=project, permissions="BROWSE_PROJECTS" if cloud else None
    ),
    "projectcategories": client.projectcategories,
    "notificationschemes": client.notificationschemes,
    "user": lambda: client.user(account).raw,
    "search_users": lambda: client.search_users(
        query="." if cloud else None, user=None if cloud else ".", maxResults=1000, includeInactive=True
    ),
    "search_assignable_users_for_issues": lambda: client.search_assignable_users_for_issues(
        **{"query" if cloud else "username": "."}, project=project, maxResults=1000
    ),
    "dashboard": lambda: client.dashboard(dashboards[0].id).raw,
    "favourite_filters": client.favourite_filters,
    "filter": lambda: client.filter("10000").raw,
    "sprints": lambda: client.sprints(next(b.id for b in boards if b.type == "scrum"), maxResults=False),
    "sprint": lambda: client.sprint(client.sprints(next(b.id for b in boards if b.type == "scrum"))[0].id).raw,
    "security_level": lambda: client.security_level("10100").raw,
    "custom_field_option": lambda: client.custom_field_option("10050").raw,
    "service_desks": client.service_desks,
    "request_types": lambda: client.request_types(client.service_desks()[0]),
    "application_properties": client.application_properties,
}
OF_CLOUD: dict[str, Callable[[], Any]] = {
    "group": lambda: client.group(groups[0]).raw,
    "group_members": lambda: client.group_members(groups[0]),
}
OF_DATA_CENTER: dict[str, Callable[[], Any]] = {
    "session": client.session,
    "workflows": client.workflows,
    "createmeta_issuetypes": lambda: client.project_issue_types(project, maxResults=100),
    "createmeta_fields": lambda: client.project_issue_fields(project, types[0].id, maxResults=100),
    "project_priority_scheme": lambda: client.project_priority_scheme(project).raw,
    "screens": client.screens,
    "pinned_comments": lambda: client.pinned_comments(key),
    "search_assignable_users_for_projects": lambda: client.search_assignable_users_for_projects(
        "", project, maxResults=1000
    ),
    "search_allowed_users_for_issue": lambda: client.search_allowed_users_for_issue(".", issueKey=key),
}
for name, call in [*CALLS.items(), *(OF_CLOUD if cloud else OF_DATA_CENTER).items()]:
    read(name, call)
print(json.dumps({"found": found, "failed": failed}))
