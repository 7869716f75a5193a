"""Jira Cloud (REST v3) and Data Center (REST v2) as a source.

* unit: `jira.issues`; what hangs on issues (`jira.comments`, `jira.worklogs`, `jira.changelogs`, links, watchers, votes, attachments,
  requests, readers); lists of the site, its projects, boards and fields
* segment: a project, named by its key; a list has one segment, or one for each project, board or field, and is read whole
* axis: the issue's `updated` in epoch milliseconds; in a FULL run lists of ids (Cloud) or `created` (Data Center), because an
  issue that changes during the run must be neither missed nor doubled in a table that is replaced
* slice: a window of the axis with at most `slice_issues` issues, as counted by Jira; it always ends at a whole minute. Slices of a
  FULL run name their ids
* horizon: the server's own clock less `policy.lag` (60 s), at a whole minute. Every run also reads the issues above it, so an
  issue that changes all the time is ingested, too
* look-back: `policy.lookback`, 30 minutes by default: the search index was seen to lag 25 minutes

Rights: "Browse projects" for every project to be read; "Browse users and groups" for `jira.users`.
Facts about Jira are in https://developer.atlassian.com/cloud/jira/platform/rest/v3/ and
https://developer.atlassian.com/server/jira/platform/rest/v10000/.

Importing this module imports no heavy library: the strategy is loaded when one of its methods is called.
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
