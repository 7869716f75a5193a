"""Jira Cloud (REST v3) and Data Center (REST v2) as a source.

* unit: `jira.issues`, and what hangs on issues: `jira.comments`, `jira.worklogs`, `jira.changelogs`; `jira.projects`,
  `jira.users`
* segment: a project, named by its key; for projects and users the whole of them
* axis: the issue's `updated` in epoch milliseconds; in a FULL run the issue's number (`id`), because an issue that is
  changed while it is read must be neither missed nor doubled in a table that is replaced
* slice: a window of the axis with at most `slice_issues` issues, as counted by Jira; it always ends at a whole minute
* horizon: the server's own clock less `policy.lag` (60 s), at a whole minute. Issues above it are read by every run, so an
  issue that changes all the time arrives all the same
* look-back: `policy.lookback`, 30 minutes when it is not set: the search index lags, 25 minutes have been seen

Rights: "Browse projects" of what is to be read; "Browse users and groups" for `jira.users`.
Facts about Jira are in https://developer.atlassian.com/cloud/jira/platform/rest/v3/ and
https://developer.atlassian.com/server/jira/platform/rest/v10000/.

Importing this module imports no library: the template describes itself and loads the rest when it is used.
"""

from ingest_ray.sdk.contracts import Descriptor, Strategy
from ingest_strategies.jira.config import JiraConfig
from ingest_strategies.lazy_strategy import LazyModule

http: Strategy = LazyModule(
    Descriptor(
        template="jira.http",
        family="HTTP",
        title="Jira",
        vendor="jira",
        config_model=JiraConfig,
        description="Projects, issues, comments, worklogs, changelogs and users of Jira Cloud or Data Center.",
        capabilities=("full", "incremental", "lookback", "parallel", "preview", "filters", "census", "backfill"),
        docs_url="https://developer.atlassian.com/cloud/jira/platform/rest/v3/",
        sample_config={
            "base_url": "https://example.atlassian.net",
            "auth_type": "basic",
            "username": "reader@example.com",
            "api_token": "env:JIRA_TOKEN",
        },
    ),
    "ingest_strategies.jira.strategy:Jira",
    extra="http",
)

__all__ = ["http"]
