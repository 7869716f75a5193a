"""The lists of Confluence Cloud v2: cursors, sorting, refusals, and what `include-...` adds to one object."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from ingest_ray.simulators.atlassian.confluence.content_json import Json
from ingest_ray.simulators.atlassian.confluence.page import Page, Space
from ingest_ray.simulators.atlassian.confluence.v1_children import ConfluenceV1Children
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, RequestRefused, decode, encode, reply

MOST = 250
T = TypeVar("T")


class ConfluenceV2Listing(ConfluenceV1Children):
    def v2_error(self, status: int, title: str, code: str = "") -> Reply:
        code = (
            code
            or {404: "NOT_FOUND", 400: "INVALID_REQUEST_PARAMETER", 403: "FORBIDDEN", 500: "INTERNAL_SERVER_ERROR"}[
                status
            ]
        )
        return reply(
            {"errors": [{"status": status, "code": code, "title": self.localized(title), "detail": None}]}, status
        )

    def v2_refuse(self, status: int, title: str) -> RequestRefused:
        return RequestRefused(self.v2_error(status, title))

    def v2_space(self, number: str) -> Space:
        space = self.store.space(number) if number.isdecimal() else None
        if space is None:
            raise self.v2_refuse(404, "Not Found")
        self.v2_check(space)
        return space

    def v2_check(self, space: Space) -> None:
        if space.failing:
            raise self.v2_refuse(500, "Internal Server Error")
        if space.forbidden:
            raise self.v2_refuse(403, "Forbidden")

    def v2_page(self, call: Call, kind: str = "page") -> Page:
        page = self.store.find(call.params["id"])
        if page is None or page.kind != kind:
            raise self.v2_refuse(404, "Not Found")
        self.v2_check(self.store.spaces[page.space])
        return page

    # Cursors.

    def cursor(self, call: Call) -> tuple[list[Any] | None, int]:
        """What the cursor holds, and the number of its page."""
        text = call.parameter("cursor")
        if not text:
            return None, 0
        try:
            position, page = decode(urlsafe_b64decode(text))
            if not (isinstance(position, list) and len(position) == 2 and isinstance(position[1], int)):
                raise ValueError("no cursor")
        except Exception:
            raise self.v2_refuse(400, "The provided cursor is invalid.") from None
        if self.traps.number("expired-token") >= 1:
            self.traps.numbers["expired-token"] -= 1
            raise self.v2_refuse(400, "The provided cursor is expired.")
        return position, page

    def limit(self, call: Call, default: int = 25) -> int:
        limit = call.integer("limit", default)
        if not 1 <= limit <= MOST:
            raise self.v2_refuse(
                400, f"Provided value {{{limit}}} for 'limit' is not valid: it must be between 1 and {MOST}."
            )
        return limit

    def multi(self, call: Call, results: list[Any], position: list[Any] | None) -> Reply:
        """The v2 envelope; `position` goes into the cursor of the next link, None ends the listing."""
        links = {"base": f"{self.site}/wiki"}
        header = f'<{self.site}/wiki>; rel="base"'
        if position is None and "empty-next" in self.traps and results:
            position = [1 << 60, 1 << 60]
        if position is not None:
            text = call.parameter("cursor")
            page = self.cursor_page(text)
            repeats = self.traps.number("repeated-token")
            if not (text and repeats and page >= repeats):
                text = urlsafe_b64encode(encode([position, page + 1])).decode()
            kept = {k: v for k, v in call.query.items() if k != "cursor"}
            following = f"{call.path}?{urlencode({**kept, 'cursor': text}, doseq=True)}"
            links["next"] = following
            header = f'<{following}>; rel="next", {header}'
        sent = self.without_skipped(call, results)
        return Reply(200, encode({"results": sent, "_links": links}), {"Link": header})

    @staticmethod
    def cursor_page(text: str) -> int:
        return int(decode(urlsafe_b64decode(text))[1]) if text else 0

    def by_offset(self, call: Call, values: Sequence[Any], make: Callable[[Any], Any], default: int = 25) -> Reply:
        """For short lists: the cursor holds an offset."""
        limit = self.limit(call, default)
        position, _ = self.cursor(call)
        start = int(position[0]) if position else 0
        part = list(values[start : start + limit])
        end = start + limit
        return self.multi(call, [make(v) for v in part], [end, 0] if end < len(values) else None)

    def multi_plain(self, results: list[Any]) -> Reply:
        return reply({"results": results, "_links": {"base": f"{self.site}/wiki"}})

    def in_order(
        self, call: Call, values: Sequence[T], keys: Mapping[str, Callable[[T], Any]], default: str
    ) -> Sequence[T]:
        """Sorted as the request says; with an empty `default` unsorted where it says nothing."""
        sort = call.parameter("sort", default)
        if not sort:
            return values
        key = keys.get(sort.removeprefix("-"))
        if key is None:
            raise self.v2_refuse(400, f"Invalid sort parameter: {sort}")
        return sorted(values, key=key, reverse=sort.startswith("-"))

    def newest_first(self, call: Call, numbers: Sequence[int]) -> Sequence[int]:
        """Numbers of versions."""
        return sorted(numbers, reverse=call.parameter("sort", "-modified-date").startswith("-"))

    # What `include-...` adds.

    def operations_of(self, call: Call) -> list[Json]:
        raise NotImplementedError

    def properties_of(self, call: Call) -> list[Json]:
        """Every content has one, every space none."""
        number = call.params["id"].removeprefix("att")
        if "/spaces/" in call.path or not number.isdecimal():
            return []
        version = {"number": 1, "message": "", "minorEdit": False}
        return [{"id": str(int(number) * 10 + 1), "key": "editor", "value": "v2", "version": version}]

    def with_included(self, call: Call, document: Json, **lists: list[Json]) -> Json:
        """`labels`, `versions`, `likes` and others by name; up to fifty of each. Without `include-version` its version goes."""
        own = {"operations": self.operations_of, "properties": self.properties_of}
        for name in (*own, *lists):
            if call.boolean(f"include-{name.replace('_', '-')}"):
                found = own[name](call) if name in own else lists[name]
                document["directChildren" if name == "direct_children" else name] = self.included(call, name, found)
        if not call.boolean("include-version", True):
            document.pop("version", None)
        return document

    def included(self, call: Call, name: str, found: list[Json]) -> Json:
        links = {"self": f"{call.path}/{name.replace('_', '-')}"}
        return {"results": found[:50], "meta": {"hasMore": len(found) > 50}, "_links": links}
