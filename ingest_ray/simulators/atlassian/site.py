"""Builds one simulated site from its options."""

from typing import Any

from ingest_ray.simulators.atlassian.confluence.cloud import ConfluenceCloud
from ingest_ray.simulators.atlassian.confluence.control_endpoints import ConfluenceControlEndpoints
from ingest_ray.simulators.atlassian.confluence.data_center import ConfluenceDataCenter
from ingest_ray.simulators.atlassian.confluence.generator import make_site
from ingest_ray.simulators.atlassian.content.clock import Clock
from ingest_ray.simulators.atlassian.content.people import make_groups, make_people
from ingest_ray.simulators.atlassian.content.rich_text import Prose
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws
from ingest_ray.simulators.atlassian.jira.cloud.site import JiraCloud
from ingest_ray.simulators.atlassian.jira.control_endpoints import JiraControlEndpoints
from ingest_ray.simulators.atlassian.jira.data_center import JiraDataCenter
from ingest_ray.simulators.atlassian.jira.generator import make_issues
from ingest_ray.simulators.atlassian.jira.issue import IssueContent
from ingest_ray.simulators.atlassian.jira.issue_store import IssueStore, new_store
from ingest_ray.simulators.atlassian.jira.loader import load_issues
from ingest_ray.simulators.atlassian.jira.site_configuration import make_configuration
from ingest_ray.simulators.atlassian.server.application import Site, SiteServer
from ingest_ray.simulators.atlassian.server.auth import Credentials
from ingest_ray.simulators.atlassian.server.points import HourlyQuota
from ingest_ray.simulators.atlassian.server.rate_limits import Limits
from ingest_ray.simulators.atlassian.server.request_counts import Stats
from ingest_ray.simulators.atlassian.server.traps import Traps, set_traps
from ingest_ray.simulators.atlassian.site_options import SiteOptions


def make_jira(options: SiteOptions, clock: Clock, draws: SeededDraws, traps: Traps) -> IssueStore:
    zone = "Europe/Berlin" if "dst-zone" in traps else options.user_zone
    locale = "de_DE" if "localized" in traps else options.locale
    count = options.users or min(max(20, options.issues // 250), 1500)
    people = make_people(draws, count, zone, locale)
    configuration = make_configuration(draws, options.projects, len(people))
    if options.data is not None:
        issues = load_issues(options.data / "jira-issues.jsonl.gz", people, configuration, options.issues, clock.now())
    else:
        issues = make_issues(draws, configuration, len(people), options.issues, clock.now(), traps)
    content = IssueContent(draws, Prose(draws, people), people, configuration, cloud=options.mode == "cloud")
    return new_store(clock, draws, traps, people, make_groups(draws, people), configuration, content, issues)


def make_site_server(options: SiteOptions, url: str) -> SiteServer:
    cloud = options.mode == "cloud"
    clock, draws, traps, stats = (
        Clock(options.start_ms, frozen=options.frozen, speed=options.clock_speed),
        SeededDraws(options.seed),
        set_traps(options.traps),
        Stats(),
    )
    store: Any
    site: Site
    if options.product == "jira":
        store = make_jira(options, clock, draws, traps)
        site = JiraCloud(store, url) if cloud else JiraDataCenter(store, url)
    else:
        count = options.users or min(max(20, options.pages // 250), 1500)
        people = make_people(draws, count, options.user_zone, "de_DE" if "localized" in traps else options.locale)
        store = make_site(options, clock, draws, traps, people)
        site = ConfluenceCloud(store, url) if cloud else ConfluenceDataCenter(store, url)
    me = store.people[0]
    scopes = None if options.scopes is None else frozenset(options.scopes.split())
    credentials = Credentials(
        me.email if cloud else me.username, f"sim-token-{options.seed}", cloud, scopes, options.token_life_s
    )
    limits = Limits(options.rate_limit, cloud and "endpoint-buckets" in traps, cloud, options.product)
    server = SiteServer(
        options.product, cloud, url, site, None, clock, draws, traps, stats, limits, credentials,
        me.account_id if cloud else "", options.latency_ms / 1000,
        HourlyQuota(options.quota, options.product) if options.quota and cloud else None,
    )  # fmt: skip
    control = JiraControlEndpoints if options.product == "jira" else ConfluenceControlEndpoints
    server.control = control(server, store)
    return server
