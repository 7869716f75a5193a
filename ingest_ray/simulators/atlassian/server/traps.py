"""Traps: named behaviours and faults that break naive connectors. `TRAPS` has all of them, the package's docstring shows them as a table.

A trap is set as `NAME`, `NAME=VALUE`, or `NAME=VALUE@PART`, where PART must occur in the request's path.
`no-NAME` switches off one that is on by default, because the real product always behaves so.

Behaviours take a number. Faults take a trigger, counted over the requests whose path has PART:

* `0.02` a share of the requests, spread by the seed; `25` every 25th request;
* `after:40` all requests after the 40th; `at:40` only the 40th; `burst:40:5` five requests from the 40th on.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws


@dataclass(frozen=True, slots=True)
class Trap:
    name: str
    kind: Literal["behaviour", "fault"]
    where: str
    value: str
    summary: str
    default_on: bool = False


def _real(name: str, where: str, summary: str, value: str = "1") -> Trap:
    return Trap(name, "behaviour", where, value, summary, default_on=True)


def _behaviour(name: str, where: str, summary: str, value: str = "1") -> Trap:
    return Trap(name, "behaviour", where, value, summary)


def _fault(name: str, where: str, value: str, summary: str) -> Trap:
    return Trap(name, "fault", where, value, summary)


_ALL = (
    _real("token-absent-on-last-page", "Jira Cloud", "no nextPageToken on the last page; off: an empty string"),
    _real("fields-default", "Jira Cloud", "search/jql gives only `id` unless fields are asked for; off: *navigable"),
    _real("inline-caps", "Jira", "at most 40 changelogs (Cloud), 20 worklogs, N comments (Cloud) inline", "20"),
    _real("anonymous-200", "Jira Cloud", "bad credentials: 200, empty list, x-seraph-loginreason; off: 401"),
    _real("strict-payload", "Jira Cloud", "POST with an unknown property answers 400"),
    _real("removed-endpoints", "Jira Cloud", "/search and its kin answer 410; off: they still serve"),
    _real(
        "deprecated-v1", "Confluence Cloud", "v1 content and space answer with deprecation headers; 410 at the gateway"
    ),
    _real("dc-caps", "Data Center", "page sizes are cut without a word: Jira N, Confluence 50 / 200 / 1000", "1000"),
    _real("endpoint-buckets", "Cloud", "the rate limit counts per endpoint and method; off: for the whole site"),
    _real("compressed", "both", "bodies come in br or gzip, whichever the request accepts, and in chunks"),
    _behaviour("unasked-br", "both", "a proxy compresses bodies with br for a client that did not ask for it"),
    _behaviour("removed-v1", "Confluence Cloud", "what `deprecated-v1` is about answers 410 on the site's host, too"),
    _real("long-address-414", "both", "an address of more than N bytes answers 414", "8192"),
    _behaviour("large-request-413", "Jira Cloud", "bulkfetch of more than N issues answers 413", "30"),
    _behaviour(
        "inexact-count", "Jira Cloud", "approximate-count is up to N % too high or too low, never 0 for some", "20"
    ),
    _behaviour("random-access", "Jira", "random roles, permission schemes and security levels, holders of every kind"),
    _behaviour("service-desks", "Jira", "every Nth project is a service desk: requests, request types, SLAs", "2"),
    _behaviour(
        "issue-errors", "Jira Cloud", "bulkfetch names N % of the issues in issueErrors instead of giving them", "5"
    ),
    _behaviour("search-warnings", "Jira Cloud", "answers of search/jql have `warnings`"),
    _behaviour("missing-issue-400", "Jira Cloud", "a key or id in JQL that does not exist answers 400, not no issues"),
    _behaviour("short-pages", "Jira Cloud", "pages hold N % to 100 % of maxResults, before the end too", "40"),
    _behaviour("missing-islast", "Jira Cloud", "search/jql leaves isLast out"),
    _behaviour("repeated-token", "both", "from page N + 1 on, the same token or cursor comes back for ever"),
    _behaviour("expired-token", "both", "the first N tokens or cursors that come back are refused with 400"),
    _behaviour("index-lag", "both", "search sees a change N seconds late (reconcileIssues sees it at once)", "1500"),
    _behaviour("epoch-minutes", "Jira", "epoch milliseconds in JQL are cut to the minute"),
    _behaviour(
        "dst-zone", "Jira", "profile zone Europe/Berlin, many updates around both changes of the clock; 400 in the gap"
    ),
    _behaviour("localized", "both", "messages are German"),
    _behaviour("permission-404", "both", "about N % of issues or pages are there, but not for this account", "3"),
    _behaviour("forbidden-403", "both", "N projects or spaces are listed, and refuse everything else with 403"),
    _behaviour("poison-500", "both", "N records make each page that has their body answer 500, alone too"),
    _behaviour("poison-json", "both", "N records make each page that has their body undecodable JSON, alone too"),
    _behaviour("storage-500", "Confluence", "N pages answer 500 for the storage body; the view body works"),
    _behaviour("large-page-504", "both", "more than N bodies in one answer: 504", "50"),
    _behaviour("deep-start-500", "Data Center", "start over N answers 500", "10000"),
    _behaviour("undercounted-start", "Confluence", "`start` in the next link is N short of what was sent", "2"),
    _behaviour("empty-next", "Confluence", "the last page has a next link, which leads to zero results"),
    _behaviour(
        "ancestor-restrictions-404", "Confluence", "expand=ancestors.restrictions answers 404 for the whole batch"
    ),
    _behaviour("restrictions-500", "Confluence", "expand=restrictions answers 500 for the whole batch"),
    _behaviour("failing-space", "Confluence", "N spaces answer 500 to everything that is theirs"),
    _behaviour(
        "space-roles", "Confluence Cloud", "spaces have roles, assigned to users, groups and classes of accounts"
    ),
    _behaviour("anonymous-spaces", "Data Center", "every Nth space of a Confluence grants reading to everyone", "2"),
    _behaviour("anonymous-site-off", "Data Center", "the Confluence as a whole lets no anonymous user in"),
    _behaviour(
        "attachment-errors", "Confluence", "one attachment in N: 404 on content, and 400 on its page's list", "10"
    ),
    _behaviour("no-retry-after", "both", "429 without Retry-After, as gateways send it"),
    _fault(
        "skipped-content",
        "Confluence",
        "at:2",
        "a page of a list or a search lacks its last entries, and the next, too",
    ),
    _fault(
        "skipped-issues",
        "Jira Cloud",
        "at:3",
        "a page of search/jql lacks its last issues, with isLast false, and the next page, too",
    ),
    _fault("security-mid-run", "Jira", "at:10", "five issues get a security level"),
    _fault("field-removed", "Jira", "at:10", "the field customfield_10016 is removed"),
    _fault("too-many-requests", "both", "0.02", "429 beyond the budget, with Retry-After"),
    _fault("too-many-requests-silent", "both", "0.02", "429 beyond the budget, without Retry-After"),
    _fault("server-errors", "both", "burst:20:5", "500, 502, 503 (Retry-After) and 504 in turn"),
    _fault("denied-403", "both", "after:0", "403, where the account lacks a right"),
    _fault("denied-404", "both", "after:0", "404, where the version lacks an endpoint"),
    _fault("missing-scope", "Cloud", "after:0", "401, where the token lacks a scope"),
    _fault("slow-responses", "both", "0.05", "the answer takes two seconds"),
    _fault("truncated-bodies", "both", "0.02", "the connection closes in mid-body"),
    _fault("truncated-json", "both", "0.02", "half a JSON document, with the right Content-Length and status 200"),
    _fault(
        "cut-compressed",
        "both",
        "0.02",
        "a br or gzip body that ends in mid-stream, with the Content-Length of what is sent",
    ),
    _fault("login-page", "both", "at:20", "a login page: 200, text/html"),
    _fault("sso-redirect", "Data Center", "at:20", "302 to the login page of single sign-on"),
    _fault("denied-login", "both", "at:20", "200 and an empty list, with X-Seraph-LoginReason: AUTHENTICATION_DENIED"),
    _fault("node-switch", "Data Center", "0.5", "another node answers, whose search index is 600 s behind"),
    _fault("expired-credentials", "both", "after:20", "the token stops being valid"),
    _fault("captcha-lock", "Data Center", "after:20", "403 with X-Seraph-LoginReason: AUTHENTICATION_DENIED"),
)
TRAPS: dict[str, Trap] = {trap.name: trap for trap in _ALL}


class UnknownTrap(ValueError):
    """A trap's name or value cannot be read."""


@dataclass(slots=True)
class Trigger:
    """Decides for each request whether a fault occurs."""

    spec: str
    part: str
    seen: int = 0

    def strikes(self, path: str, draws: SeededDraws, name: bytes) -> bool:
        if self.part not in path:
            return False
        self.seen += 1
        word, _, rest = self.spec.partition(":")
        match word:
            case "after":
                return self.seen > int(rest)
            case "at":
                return self.seen == int(rest)
            case "burst":
                first, _, many = rest.partition(":")
                return int(first) <= self.seen < int(first) + int(many)
        number = float(word)
        if number < 1:
            return draws.chance(name, self.seen, number)
        return self.seen % int(number) == 0


def _valid_trigger(spec: str) -> bool:
    word, _, rest = spec.partition(":")
    numbers = rest.split(":")
    if word in ("after", "at", "burst"):
        return all(n.isdecimal() for n in numbers) and len(numbers) == (2 if word == "burst" else 1)
    try:
        return float(word) > 0 and not rest
    except ValueError:
        return False


@dataclass(slots=True)
class Traps:
    """The traps that are set, with their numbers and triggers."""

    numbers: dict[str, float] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """The trap's number, or 0 where it is not set."""
        return self.numbers.get(name, 0.0)

    def __contains__(self, name: str) -> bool:
        return name in self.numbers or name in self.triggers

    def strikes(self, name: str, path: str, draws: SeededDraws) -> bool:
        trigger = self.triggers.get(name)
        return trigger is not None and trigger.strikes(path, draws, name.encode())

    def add(self, spec: str) -> None:
        name, _, rest = spec.partition("=")
        if name.startswith("no-") and name not in TRAPS:
            name = name[3:]
            if name not in TRAPS:
                raise UnknownTrap(f"no trap is called {name!r}")
            self.numbers.pop(name, None)
            self.triggers.pop(name, None)
            return
        trap = TRAPS.get(name)
        if trap is None:
            raise UnknownTrap(f"no trap is called {name!r}; there are {', '.join(TRAPS)}")
        value, _, part = (rest or trap.value).partition("@")
        value = value or trap.value
        if trap.kind == "fault":
            if not _valid_trigger(value):
                raise UnknownTrap(f"{name}: {value!r} is no trigger")
            self.triggers[name] = Trigger(value, part)
        else:
            if not value.isdecimal():
                raise UnknownTrap(f"{name}: {value!r} is no number")
            self.numbers[name] = float(value)


def set_traps(specs: Iterable[str]) -> Traps:
    traps = Traps()
    for trap in TRAPS.values():
        if trap.default_on:
            traps.add(trap.name)
    for spec in specs:
        traps.add(spec)
    return traps


def table() -> str:
    """The list of traps as the rows of a table."""
    rows = [(t.name, t.where, f"{t.value}{' (on)' if t.default_on else ''}", t.summary) for t in TRAPS.values()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]) for row in rows
    )
