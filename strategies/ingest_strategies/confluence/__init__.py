"""Confluence Cloud (REST v2, and what is left of v1) and Data Center (v1) as a source.

* unit: `confluence.space`, `.page` (pages and blog posts), `.comment`, `.attachment`, `.label`, `.revision`, `.acl`
* segment: a space, named by its key; besides `<key>/tree` for pages that move without a new version; spaces have one segment
* axis: search's `lastmodified` in epoch milliseconds, at whole minutes; in a FULL run `created`, because a page that
  changes during the run must be neither missed nor doubled in a table that is replaced
* slice: a window of the axis with at most `slice_pages` pages, as counted by search; or a list of ids
* horizon: the server's own clock less `policy.lag` (60 s), at a whole minute. Every run also reads what lies above it
* look-back: `policy.lookback`, 30 minutes by default: the search index lags. Changes that search lacks are found in the listing
  by date (Cloud) or in the tree (Data Center)

Rights: to view everything to be read. For `confluence.acl`, and endpoints with `acl: required`: to administer the spaces, and to see
groups' members. Facts about Confluence are in https://developer.atlassian.com/cloud/confluence/rest/v2/intro/ and
https://developer.atlassian.com/server/confluence/rest/.

Importing this module imports no heavy library: the strategy is loaded when one of its methods is called.
"""

from ingest_ray.sdk.contracts import Descriptor, Strategy
from ingest_strategies.confluence.config import ConfluenceConfig
from ingest_strategies.lazy_strategy import LazyModule

http: Strategy = LazyModule(
    Descriptor(
        template="http.confluence",
        family="HTTP",
        title="Confluence",
        vendor="confluence",
        config_model=ConfluenceConfig,
        description="Spaces, pages, comments, attachments, labels, versions and readers of Confluence Cloud or Data Center.",
        capabilities=("full", "incremental", "lookback", "parallel", "preview", "filters", "census", "backfill", "acl"),
        docs_url="https://developer.atlassian.com/cloud/confluence/rest/v2/intro/",
        sample_config={
            "base_url": "https://example.atlassian.net",
            "auth_type": "basic",
            "username": "reader@example.com",
            "api_token": "env:CONFLUENCE_TOKEN",
        },
    ),
    "ingest_strategies.confluence.strategy:Confluence",
    extra="http",
)

__all__ = ["http"]
