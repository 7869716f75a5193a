"""Accounts and groups: active, inactive and deleted ones, apps, and names that occur twice."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws, pick

_FIRST = [
    "Ada",
    "Bruno",
    "Chiara",
    "Dmitri",
    "Elif",
    "Farah",
    "Gösta",
    "Hana",
    "Ivo",
    "Jun",
    "Kofi",
    "Léa",
    "Mia",
    "Nils",
    "Olga",
    "Pia",
    "Quentin",
    "Rosa",
    "Sami",
    "Tove",
    "Umar",
    "Vera",
    "Wim",
    "Xenia",
    "Yara",
    "Zoë",
]
_LAST = [
    "Abel",
    "Brandt",
    "Costa",
    "Duarte",
    "Eriksen",
    "Fischer",
    "Grant",
    "Hughes",
    "Ito",
    "Jansen",
    "Keita",
    "Lopez",
    "Moreau",
    "Novak",
    "Okafor",
    "Petrov",
    "Quist",
    "Rossi",
    "Sato",
    "Tanaka",
    "Ueda",
    "Vidal",
    "Weiss",
    "Xu",
    "Young",
    "Zeman",
    "O'Brien",
]
_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "UTC")


@dataclass(slots=True)
class Person:
    index: int
    account_id: str
    username: str
    key: str
    display: str
    email: str
    active: bool = True
    zone: str = "UTC"
    kind: str = "atlassian"
    locale: str = "en_US"


@dataclass(slots=True)
class Group:
    group_id: str
    name: str
    members: list[int] = field(default_factory=list)


def make_person(draws: SeededDraws, index: int) -> Person:
    """Account ids have both forms that Cloud uses: 24 hex digits, and `712020:` with a UUID."""
    d = draws(b"person", index)
    first, last = pick(_FIRST, d[0]), pick(_LAST, d[1])
    if d[2] % 2:
        account = f"{d[3]:08x}{d[4]:08x}{d[5]:08x}"
    else:
        account = f"712020:{UUID(int=d[3] << 96 | d[4] << 64 | d[5] << 32 | d[6])}"
    username = f"{first[0]}{last}{index}".lower().replace("'", "")
    person = Person(index, account, username, f"JIRAUSER{10_100 + index}", f"{first} {last}", f"{username}@example.com")
    person.zone = pick(_ZONES, d[7])
    if index and d[8] % 10 == 0:
        person.active = False
    if index and d[8] % 41 == 1:
        person.kind, person.email = "app", ""
    if index and d[8] % 37 == 2:  # a deleted account keeps its id and loses everything else
        person.active, person.display, person.email = False, "Former user", ""
    return person


def make_people(draws: SeededDraws, count: int, owner_zone: str, owner_locale: str) -> list[Person]:
    """Person 0 is the account of the simulator's token."""
    people = [make_person(draws, index) for index in range(count)]
    people[0].zone, people[0].locale = owner_zone, owner_locale
    return people


def make_groups(draws: SeededDraws, people: list[Person]) -> list[Group]:
    groups = []
    for number, name in enumerate(("administrators", "users", "developers", "support", "legal-hold", "empty-group")):
        d = draws(b"group", number)
        group = Group(str(UUID(int=d[0] << 96 | d[1] << 64 | d[2] << 32 | d[3])), name)
        share = (30, 1, 3, 5, 12, 0)[number]
        if share:
            group.members = [p.index for p in people if (p.index + number) % share == 0]
        groups.append(group)
    return groups


def avatars(base: str, person: Person) -> dict[str, str]:
    return {f"{n}x{n}": f"{base}/avatar/{person.index}?s={n}" for n in (48, 24, 16, 32)}


def jira_cloud(person: Person, base: str, *, email: bool = True) -> dict[str, Any]:
    """A user as it is nested in Jira Cloud answers. Profiles may hide the e-mail address: one in three does."""
    document: dict[str, Any] = {
        "self": f"{base}/rest/api/3/user?accountId={person.account_id}",
        "accountId": person.account_id,
        "avatarUrls": avatars(base, person),
        "displayName": person.display,
        "active": person.active,
        "timeZone": person.zone,
        "accountType": person.kind,
    }
    if email and person.email and (person.index == 0 or person.index % 3):
        document["emailAddress"] = person.email
    return document


def jira_dc(person: Person, base: str) -> dict[str, Any]:
    return {
        "self": f"{base}/rest/api/2/user?username={person.username}",
        "name": person.username,
        "key": person.key,
        "emailAddress": person.email,
        "avatarUrls": avatars(base, person),
        "displayName": person.display,
        "active": person.active,
        "timeZone": person.zone,
    }
