"""The points of a request, and the hourly quota of OAuth 2.0 apps.

A request costs 1 point, 1 more for each object of its answer, 2 for each user, group or permission; the quota is filled again at each
full hour of UTC: https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ (March 2026). API tokens have no points. The header
names are those of https://community.developer.atlassian.com/t/2026-point-based-rate-limits/97828, without `Beta-` once enforced. A request is
admitted while anything is left: what its answer costs is known afterwards only (inferred, no document says it).
"""

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from ingest_ray.simulators.atlassian.content.clock import HOUR_MS
from ingest_ray.simulators.atlassian.server.routing import Reply

_LISTS = ("results", "issues", "values", "issueChangeLogs", "comments", "worklogs", "histories")
_PEOPLE = re.compile(
    r"/(users?|groups?|myself|permissions?|role-assignments|space-roles|members?|membersByGroupId)(/|$)"
)
_COUNTED_ONLY = ("approximate-count", "serverInfo", "tenant_info")
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw])


def points_of(template: str, reply: Reply) -> int:
    if reply.status >= 300 or not reply.kind.startswith("application/json"):
        return 1
    return 1 + (2 if _PEOPLE.search(template) else 1) * objects_of(template, reply.body)


def objects_of(template: str, body: bytes) -> int:
    if any(word in template for word in _COUNTED_ONLY):
        return 0
    try:
        document = _decode.decode(body)
    except msgspec.DecodeError:
        return 0
    if isinstance(document, list):
        return len(document)
    for name in _LISTS:
        if name in document:
            found: Any = msgspec.json.decode(document[name], type=list[msgspec.Raw] | None)
            return len(found or ())
    return 1


@dataclass(slots=True)
class HourlyQuota:
    """`limit` points in each hour; 0: none. `used` counts those of the current hour, `refusals` its 429."""

    limit: int
    product: str
    name: str = "tenant-app-quota"
    hour: int = -1
    used: int = 0

    def admits(self, now_ms: int) -> bool:
        self._turn(now_ms)
        return self.used < self.limit

    def count(self, points: int, now_ms: int) -> None:
        self._turn(now_ms)
        self.used += points

    def left(self, now_ms: int) -> int:
        self._turn(now_ms)
        return max(0, self.limit - self.used)

    def reset_s(self, now_ms: int) -> int:
        """Seconds until the next hour, at least one."""
        return max(1, -(-(HOUR_MS - now_ms % HOUR_MS) // 1000))

    def headers(self, now_ms: int, *, refused: bool, retry_after: bool) -> dict[str, str]:
        items = {
            "ratelimit-policy": f'"{self.name}";q={self.limit};w=3600',
            "ratelimit": f'"{self.name}";r={self.left(now_ms)};t={self.reset_s(now_ms)}',
        }
        if refused:
            items["RateLimit-Reason"] = f"{self.product}-quota-tenant-based"
            if retry_after:
                items["Retry-After"] = str(self.reset_s(now_ms))
        return items

    def _turn(self, now_ms: int) -> None:
        hour = now_ms // HOUR_MS
        if hour != self.hour:
            self.hour, self.used = hour, 0
