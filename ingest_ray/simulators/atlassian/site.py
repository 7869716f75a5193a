"""Makes one simulated site from its options."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ingest_ray.simulators.atlassian.confluence.cloud import ConfluenceCloud
from ingest_ray.simulators.atlassian.confluence.control import ConfluenceControl
from ingest_ray.simulators.atlassian.confluence.data_center import ConfluenceDataCenter
from ingest_ray.simulators.atlassian.confluence.generator import make_site
from ingest_ray.simulators.atlassian.content.clock import START_MS, Clock
from ingest_ray.simulators.atlassian.content.people import make_groups, make_people
from ingest_ray.simulators.atlassian.content.rich_text import Prose
from ingest_ray.simulators.atlassian.content.seeded_random import Draws
from ingest_ray.simulators.atlassian.jira.catalog import make_catalog
from ingest_ray.simulators.atlassian.jira.cloud import JiraCloud
from ingest_ray.simulators.atlassian.jira.data_center import JiraDataCenter
from ingest_ray.simulators.atlassian.jira.generator import make_issues
from ingest_ray.simulators.atlassian.jira.issue import IssueContent
from ingest_ray.simulators.atlassian.jira.loader import load_issues
from ingest_ray.simulators.atlassian.jira.store import JiraStore, new_store
from ingest_ray.simulators.atlassian.server.application import Server, Site
from ingest_ray.simulators.atlassian.server.auth import Credentials
from ingest_ray.simulators.atlassian.server.control import JiraControl
from ingest_ray.simulators.atlassian.server.rate_limits import Limits
from ingest_ray.simulators.atlassian.server.request_counts import Stats
from ingest_ray.simulators.atlassian.server.traps import Traps, set_traps

Product = Literal["jira", "confluence"]
Mode = Literal["cloud", "dc"]


@dataclass(frozen=True, slots=True)
class Options:
    """`rate_limit` is in requests per second, 0 for none; `data` is a folder with real issues or pages."""

    product: Product = "jira"
    mode: Mode = "cloud"
    seed: int = 7
    issues: int = 500
    projects: int = 5
    pages: int = 500
    spaces: int = 5
    users: int = 0
    traps: tuple[str, ...] = ()
    rate_limit: float = 0.0
    latency_ms: float = 0.0
    user_zone: str = "Australia/Sydney"
    site_zone: str = "America/New_York"
    locale: str = "en_US"
    data: Path | None = None
    frozen: bool = False
    start_ms: int = field(default=START_MS)


def make_jira(options: Options, clock: Clock, draws: Draws, traps: Traps) -> JiraStore:
    zone = "Europe/Berlin" if "dst-zone" in traps else options.user_zone
    locale = "de_DE" if "localized" in traps else options.locale
    count = options.users or min(max(20, options.issues // 250), 1500)
    people = make_people(draws, count, zone, locale)
    catalog = make_catalog(draws, options.projects, len(people))
    if options.data is not None:
        issues = load_issues(options.data / "jira-issues.jsonl.gz", people, catalog, options.issues, clock.now())
    else:
        issues = make_issues(draws, catalog, len(people), options.issues, clock.now(), traps)
    content = IssueContent(draws, Prose(draws, people), people, catalog)
    return new_store(clock, draws, traps, people, make_groups(draws, people), catalog, content, issues)


def make_server(options: Options, url: str) -> Server:
    cloud = options.mode == "cloud"
    clock, draws, traps, stats = (
        Clock(options.start_ms, frozen=options.frozen),
        Draws(options.seed),
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
    credentials = Credentials(me.email if cloud else me.username, f"sim-token-{options.seed}", cloud)
    limits = Limits(options.rate_limit, "endpoint-buckets" in traps, cloud, options.product)
    server = Server(
        options.product, cloud, url, site, None, clock, draws, traps, stats, limits, credentials,
        me.account_id if cloud else "", options.latency_ms / 1000,
    )  # fmt: skip
    control = JiraControl if options.product == "jira" else ConfluenceControl
    server.control = control(server, store)
    return server
