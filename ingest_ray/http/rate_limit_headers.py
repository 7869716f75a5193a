"""Reads the server's rate limits from status and headers of a response. Pure.

Cloud: https://developer.atlassian.com/cloud/jira/platform/rate-limiting/
Data Center: https://confluence.atlassian.com/adminjiraserver/adjusting-your-code-for-rate-limiting-987143384.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

REFUSING = frozenset({429, 503})
LONGEST_BURST_S = (
    60  # a policy over a longer window is a quota: it says how many requests there are, not how fast they may come
)
_ITEM = re.compile(r'"?([^\s",;]+)"?((?:\s*;\s*\w+=\d+)+)')
_PARAMETER = re.compile(r"(\w+)=(\d+)")


@dataclass(frozen=True)
class Signal:
    """`rate`: requests per second, where the server advertises it. `wait_s`: the pause that it asks for.

    `quota_left` of `quota_limit` points are left for `quota_reset_s` seconds. `is_quota_refused`: the quota refused the request, not a rate.
    """

    is_refused: bool = False
    is_failed: bool = False
    wait_s: float | None = None
    rate: float | None = None
    reason: str | None = None
    quota_limit: int | None = None
    quota_left: int | None = None
    quota_reset_s: float | None = None
    is_quota_refused: bool = False


FAILED = Signal(is_failed=True)
"""True where there was no response."""


def read(status: int, headers: Mapping[str, str]) -> Signal:
    """`headers` is case-insensitive, as urllib3's are. Limits that are announced and not enforced (`Beta-RateLimit...`) are no limits."""
    is_refused = status in REFUSING
    reason = headers.get("ratelimit-reason")
    quota = read_quota(headers)
    is_quota_refused = status == 429 and (quota.left == 0 if reason is None else "quota" in reason.lower())
    wait_s = retry_after_s(headers) if status >= 400 else None
    if status == 429 or (wait_s is None and headers.get("x-ratelimit-remaining") == "0"):
        wait_s = longest(wait_s, until_reset_s(headers))
    wait_s = longest(wait_s, until_refill_s(headers, is_refused=status == 429))
    return Signal(
        is_refused=is_refused,
        is_failed=status >= 500,
        wait_s=wait_s,
        rate=advertised_rate(headers),
        reason=reason,
        quota_limit=quota.limit,
        quota_left=quota.left,
        quota_reset_s=quota.reset_s,
        is_quota_refused=is_quota_refused,
    )


@dataclass(frozen=True)
class QuotaHeaders:
    limit: int | None = None
    left: int | None = None
    reset_s: float | None = None


def read_quota(headers: Mapping[str, str]) -> QuotaHeaders:
    """The quota of which the least is left. The two headers name it alike; a budget that is filled again in seconds is a burst."""
    limits = dict(named_policies(headers.get("ratelimit-policy", "")))
    found = []
    for name, item in named_policies(headers.get("ratelimit", "")):
        window_s = limits.get(name, {}).get("w", 0)
        if (
            "r" in item
            and "t" in item
            and (window_s > LONGEST_BURST_S or "quota" in name or item["t"] > LONGEST_BURST_S)
        ):
            found.append(QuotaHeaders(limits.get(name, {}).get("q"), item["r"], float(item["t"])))
    if found:
        return min(found, key=lambda quota: quota.left or 0)
    announced = [item.get("q") for _, item in limits.items() if item.get("w", 0) > LONGEST_BURST_S]
    return QuotaHeaders(limit=announced[0] if announced else None)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, or an HTTP date measured against the server's own clock."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isdecimal():
        return float(text)
    return seconds_until(text, headers)


def until_reset_s(headers: Mapping[str, str]) -> float | None:
    text = headers.get("x-ratelimit-reset", "").strip()
    return seconds_until(text, headers) if text else None


def policies(text: str) -> list[dict[str, int]]:
    """`"jira-burst-based";q=100;w=1, "tenant-app-quota";q=100100;w=3600` -> the numbers of each.

    https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
    """
    return [item for _, item in named_policies(text)]


def named_policies(text: str) -> list[tuple[str, dict[str, int]]]:
    """(name, numbers) of each."""
    return [
        (title.lower(), {name: int(number) for name, number in _PARAMETER.findall(parameters)})
        for title, parameters in _ITEM.findall(text)
    ]


def until_refill_s(headers: Mapping[str, str], *, is_refused: bool) -> float | None:
    """Seconds until a budget that has nothing left is filled again, which may be said without Retry-After. One that is filled again in
    seconds is a burst: only a refusal makes it worth a pause."""
    empty = [item["t"] for item in policies(headers.get("ratelimit", "")) if item.get("r") == 0 and "t" in item]
    return max((float(seconds) for seconds in empty if is_refused or seconds > LONGEST_BURST_S), default=None)


def seconds_until(text: str, headers: Mapping[str, str]) -> float | None:
    """Seconds from the response's `Date` to an instant. Both are of the server's clock, so a wrong clock here does not matter."""
    now, then = instant(headers.get("date", "")), instant(text)
    return max(0.0, (then - now).total_seconds()) if now and then else None


def instant(text: str) -> datetime | None:
    """An HTTP date or ISO 8601."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = parse(text)
        except ValueError:
            continue
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def advertised_rate(headers: Mapping[str, str]) -> float | None:
    """Requests per second: the smallest of Cloud's burst policies (`q` per `w` seconds) and Data Center's fill rates.

    `X-RateLimit-Limit` alone has no time span, so it gives no rate.
    """
    found = [
        item["q"] / item["w"]
        for item in policies(headers.get("ratelimit-policy", ""))
        if item.get("q") and 0 < item.get("w", 0) <= LONGEST_BURST_S
    ]
    fill, interval = headers.get("x-ratelimit-fillrate", ""), headers.get("x-ratelimit-interval-seconds", "")
    if fill.isdecimal() and interval.isdecimal() and int(fill) and int(interval):
        found.append(int(fill) / int(interval))
    return min(found, default=None)


def longest(first: float | None, second: float | None) -> float | None:
    known = [wait for wait in (first, second) if wait is not None]
    return max(known, default=None)
