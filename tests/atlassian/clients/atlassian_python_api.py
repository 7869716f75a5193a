"""Reads one space and one project through `atlassian-python-api`, 4 or 5. Arguments: Confluence URL, its user, token, mode,
space key, Jira URL, its user, token, project key. Prints one JSON line."""

import json
import sys

import atlassian

wiki_url, wiki_user, wiki_token, mode, space, jira_url, jira_user, jira_token, project = sys.argv[1:]
cloud = mode == "cloud"
if not cloud:
    wiki = atlassian.Confluence(url=wiki_url, token=wiki_token, cloud=False)
    jira = atlassian.Jira(url=jira_url, token=jira_token, cloud=False)
else:
    jira = atlassian.Jira(url=jira_url, username=jira_user, password=jira_token, cloud=True)
    if hasattr(atlassian, "ConfluenceV2"):
        wiki = atlassian.ConfluenceV2(url=wiki_url + "/wiki", username=wiki_user, password=wiki_token)
    else:
        wiki = atlassian.Confluence(url=wiki_url + "/wiki", username=wiki_user, password=wiki_token, cloud=True)

ids: list[str] = []
newer = hasattr(atlassian, "ConfluenceV2")  # version 5 follows the links by itself
if newer and cloud:
    home = wiki.get_space_by_key(space)["id"]
    ids = [entry["id"] for entry in wiki.get_pages(space_id=home, limit=50, get_body=True, body_format="storage")]
elif newer:
    ids = [entry["id"] for entry in wiki.get_all_pages_from_space(space, limit=50, expand="body.storage")]
else:
    start = 0
    while page := wiki.get_all_pages_from_space(space, start=start, limit=50, expand="body.storage"):
        ids += [entry["id"] for entry in page]
        start += len(page)

if cloud:
    issues, token = [], None
    while True:
        answer = jira.enhanced_jql(f"project = {project} ORDER BY id", fields="summary", limit=50, nextPageToken=token)
        issues += answer["issues"]
        token = answer.get("nextPageToken")
        if not token:
            break
else:
    issues = jira.jql(f"project = {project} ORDER BY id", fields="summary", limit=1000)["issues"]
print(json.dumps({"pages": ids, "issues": [issue["id"] for issue in issues], "projects": len(jira.projects())}))
