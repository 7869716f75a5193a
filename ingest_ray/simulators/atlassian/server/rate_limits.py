"""Token buckets of the rate limit, and their response headers."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction

# Documented defaults of the burst limit, requests per second, relative to the 100 of an ordinary GET:
# https://developer.atlassian.com/cloud/jira/platform/rate-limiting/
WEIGHTS = {
    "GET /rest/api/{api}/issue/{key}": 1.5,
    "GET /rest/api/{api}/issue/{key}/changelog": 2.0,
    "POST /rest/api/{api}/search/approximate-count": 1.5,
}


@dataclass(slots=True)
class Bucket:
    """Holds up to one second's worth of requests (`rate`, at least one)."""

    rate: float
    level: float = 0.0
    filled_s: float = 0.0

    def take(self, now_s: float) -> bool:
        size = max(self.rate, 1.0)
        self.level = size if not self.filled_s else min(size, self.level + (now_s - self.filled_s) * self.rate)
        self.filled_s = now_s
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True


@dataclass(slots=True)
class Limits:
    """The rate limit of a site: `rate` requests per second over all endpoints, or for each endpoint and method."""

    rate: float
    per_endpoint: bool
    cloud: bool
    product: str
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def change(self, rate: float) -> None:
        """0: no limit from now on."""
        self.rate = rate
        self.buckets.clear()

    def take(self, template: str, now_s: float) -> tuple[bool, Bucket]:
        key = template if self.per_endpoint else ""
        bucket = self.buckets.get(key)
        if bucket is None:
            bucket = self.buckets[key] = Bucket(self.rate * (WEIGHTS.get(template, 1.0) if self.per_endpoint else 1.0))
        return bucket.take(now_s), bucket

    @property
    def reason(self) -> str | None:
        """No document names a reason for the bursts of Confluence: only its quotas have one."""
        return "jira-burst-based" if self.product == "jira" else None

    def headers(self, bucket: Bucket | None, *, refused: bool, retry_after: bool, now_ms: int) -> dict[str, str]:
        """The rate-limit headers of every answer, and those that a 429 adds. `retry-after` is in whole seconds."""
        rate = max(1, int(bucket.rate)) if bucket else 350
        per_window = Fraction(bucket.rate if bucket else 350).limit_denominator(60)  # headers have whole numbers only
        left = int(bucket.level) if bucket else 349
        if not self.cloud:
            if bucket is None and not refused:
                return {}  # an administrator has to switch the limit on
            document = {"X-RateLimit-Limit": str(rate), "X-RateLimit-Remaining": str(left)}
            document |= {
                "X-RateLimit-Interval-Seconds": str(per_window.denominator),
                "X-RateLimit-FillRate": str(per_window.numerator),
            }
            if retry_after or not refused:
                document["retry-after"] = "1" if refused else "0"
            return document
        document = {"X-RateLimit-Limit": str(rate), "X-RateLimit-Remaining": str(left)}
        if self.product == "jira":
            document |= {
                "ratelimit": f'"jira-burst-based";r={left};t=1',
                "ratelimit-policy": f'"jira-burst-based";q={per_window.numerator};w={per_window.denominator}',
            }
        if left < rate * 0.2:
            document["X-RateLimit-NearLimit"] = "true"
        if refused and retry_after:
            reset = datetime.fromtimestamp(now_ms // 1000 + 1, UTC)
            document |= {"Retry-After": "1", "X-RateLimit-Reset": reset.strftime("%Y-%m-%dT%H:%M:%SZ")}
        if refused and self.reason is not None:
            document["RateLimit-Reason"] = self.reason
        return document
