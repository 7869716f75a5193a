"""Reads one project through the PyPI client `jira`. Arguments: URL, user, token, mode, project key. Prints one JSON line."""

import json
import sys

import jira

url, user, token, mode, project = sys.argv[1:]
login = {"token_auth": token} if mode == "dc" else {"basic_auth": (user, token)}
client = jira.JIRA(url, **login)
issues = client.search_issues(f"project = {project} ORDER BY id ASC", maxResults=False, fields="*all")
one = client.issue(issues[0].key, expand="changelog")
print(
    json.dumps(
        {
            "cloud": client._is_cloud,
            "ids": [issue.id for issue in issues],
            "summaries": [issue.fields.summary for issue in issues],
            "me": client.myself()["displayName"],
            "projects": len(client.projects()),
            "fields": len(client.fields()),
            "comments": len(client.comments(issues[0].key)),
            "histories": len(one.changelog.histories),
        }
    )
)
