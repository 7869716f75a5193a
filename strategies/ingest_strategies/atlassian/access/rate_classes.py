"""Which budget a request counts in, and what it may cost of a quota.

Burst limits are per tenant, endpoint and method. A request costs 1 point, 1 more for each object of its answer, and 2 for each user, group or
permission: https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ (March 2026). A query's answer holds at most as many objects
as it asks for.
"""

import json
import re
from functools import lru_cache

import msgspec

from ingest_ray.http.request import Request
from ingest_strategies.atlassian.access.scopes import find_operation

OBJECT_POINTS, PERSON_POINTS = 1, 2
_PEOPLE = re.compile(
    r"/(users?|groups?|myself|permissions?|role-assignments|space-roles|members?|membersByGroupId)(/|$)"
)
_VARIABLE = re.compile(r"[^a-z-]")  # ids, keys and names; the words of paths are of small letters
_FIXED = re.compile(r"v?\d")
_COUNTS = ("limit", "maxResults")
_WITHOUT_OBJECTS = ("approximate-count", "serverInfo")
_Items = list[msgspec.Raw] | None | msgspec.UnsetType


class Listed(msgspec.Struct):
    """An answer by the name of its list, the first one counts; one pass over the answer, whose items stay undecoded."""

    results: _Items = msgspec.UNSET
    issues: _Items = msgspec.UNSET
    values: _Items = msgspec.UNSET
    issueChangeLogs: _Items = msgspec.UNSET
    comments: _Items = msgspec.UNSET
    worklogs: _Items = msgspec.UNSET

    @property
    def count(self) -> int:
        lists = (self.results, self.issues, self.values, self.issueChangeLogs, self.comments, self.worklogs)
        found = next((items for items in lists if items is not msgspec.UNSET), msgspec.UNSET)
        return 1 if isinstance(found, msgspec.UnsetType) else len(found or ())


_answer = msgspec.json.Decoder(Listed | list[msgspec.Raw])


@lru_cache(maxsize=4096)
def endpoint_class(method: str, path: str) -> str:
    """`GET /rest/api/3/issue/{}`: the operation's own path, or one in which what varies is left out."""
    found = find_operation(method, path)
    if found is not None:
        return found
    words = [part if not _VARIABLE.search(part) or _FIXED.fullmatch(part) else "{}" for part in path.split("/")]
    return f"{method} {'/'.join(words)}"


def object_points(endpoint_class: str) -> int:
    return PERSON_POINTS if _PEOPLE.search(endpoint_class) else OBJECT_POINTS


def most_points(request: Request, endpoint_class: str) -> int:
    """1, and the points of as many objects as the request asks for at most."""
    return 1 + object_points(endpoint_class) * most_objects(request)


def most_objects(request: Request) -> int:
    params = request.params
    if "id" in params:
        return params["id"].count(",") + 1
    for name in _COUNTS:
        if (text := params.get(name, "")).isdecimal():
            return int(text)
    if request.method != "POST":
        return 1
    try:
        document = json.loads(request.body or b"")
    except ValueError:
        return 1
    if not isinstance(document, dict):
        return 1
    listed: list[int] = [
        len(document[name]) for name in ("issueIdsOrKeys", "ids") if isinstance(document.get(name), list)
    ]
    asked: list[int] = [document[name] for name in _COUNTS if isinstance(document.get(name), int)]
    return max([1, *(listed or asked)])


def answer_points(endpoint_class: str, body: bytes) -> int:
    """The points of an answer's objects: of the items of its list, or of the one object that it is."""
    if endpoint_class.endswith(_WITHOUT_OBJECTS):
        return 0
    try:
        document = _answer.decode(body)
    except (msgspec.DecodeError, RecursionError):  # the reader of the answer says what is wrong with it
        return 0
    count = document.count if isinstance(document, Listed) else len(document)
    return object_points(endpoint_class) * count
