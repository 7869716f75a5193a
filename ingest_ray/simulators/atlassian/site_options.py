"""The options of one simulated site."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ingest_ray.simulators.atlassian.content.clock import START_MS

Product = Literal["jira", "confluence"]
Mode = Literal["cloud", "dc"]


@dataclass(frozen=True, slots=True)
class SiteOptions:
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
    scopes: str | None = None
    """Of tokens that have scopes, with blanks between; None: all."""
    token_life_s: float = 3600.0
    quota: int = 0
    """Points of an OAuth 2.0 app in each hour, 0 for none."""
    clock_speed: float = 1.0
    """Simulated seconds per second."""
    start_ms: int = field(default=START_MS)
