"""`/__sim/...`: counts, changes, the truth, the clock. Neither counted, nor limited, nor faulty, and without a login."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from ingest_ray.simulators.atlassian.jira import changes
from ingest_ray.simulators.atlassian.jira.issue import Issue
from ingest_ray.simulators.atlassian.jira.store import JiraStore
from ingest_ray.simulators.atlassian.server.application import Server
from ingest_ray.simulators.atlassian.server.routing import Reply, decode, encode, reply
from ingest_ray.simulators.atlassian.server.traps import UnknownTrap

Json = dict[str, Any]
_PAGE = 2_000  # records of the truth in one answer


class Control:
    """What both products have. `mutate` and `expected` are the subclasses'."""

    operations: dict[str, Callable[[Any, Json], list[Any]]]

    def __init__(self, server: Server, store: Any) -> None:
        self.server = server
        self.store = store

    def answer(self, method: str, path: str, query: bytes, body: bytes) -> Reply:
        asked = {k: v[-1] for k, v in parse_qs(query.decode()).items()}
        document: Json = decode(body) if body else {}
        try:
            match (method, path.removeprefix("/__sim/")):
                case ("GET", "stats"):
                    return reply(self.server.stats.document())
                case ("POST", "reset_stats"):
                    self.server.stats.reset()
                    return reply({})
                case ("POST", "advance_clock"):
                    return reply({"now_ms": self.server.clock.advance(float(document["seconds"]))})
                case ("GET", "clock"):
                    return reply({"now_ms": self.server.clock.now()})
                case ("POST", "traps"):
                    for spec in document["traps"]:
                        self.server.traps.add(str(spec))
                    return reply({"traps": sorted([*self.server.traps.numbers, *self.server.traps.triggers])})
                case ("POST", "rotate_token"):
                    return reply({"token": self.server.credentials.rotate()})
                case ("POST", "mutate"):
                    return reply(self._mutate(document))
                case ("GET", "expected"):
                    return self._expected(asked)
                case ("GET", "endpoints"):
                    return reply(self.server.site.router.templates())
                case _:
                    return reply({"error": f"there is no {method} {path}"}, 404)
        except (KeyError, ValueError, UnknownTrap, StopIteration) as failure:
            return reply({"error": f"{type(failure).__name__}: {failure}"}, 400)

    def _mutate(self, document: Json) -> Json:
        """`{"op": ..., ...}`, or `{"ops": [...]}`; answers with the ids that each touched."""
        steps = document.get("ops") or [document]
        touched = []
        for step in steps:
            operation = self.operations.get(str(step.get("op")))
            if operation is None:
                raise ValueError(f"no operation is called {step.get('op')!r}; there are {', '.join(self.operations)}")
            touched.append({"op": step["op"], "ids": operation(self.store, step)})
        return {"now_ms": self.server.clock.now(), "done": touched} if "ops" in document else touched[0]

    def _expected(self, asked: dict[str, str]) -> Reply:
        """One page of the truth as JSON lines, from `offset`; the header says how many there are in all."""
        records = list(self.records(asked.get("kind", ""), asked))
        offset, limit = int(asked.get("offset", 0)), int(asked.get("limit", _PAGE))
        part = [encode(make()) for make in records[offset : offset + limit]]
        return Reply(200, b"\n".join(part), {"x-total": str(len(records))}, "application/x-ndjson")

    def records(self, kind: str, asked: dict[str, str]) -> Iterator[Callable[[], Json]]:
        raise NotImplementedError


class JiraControl(Control):
    store: JiraStore
    operations = changes.OPERATIONS

    def records(self, kind: str, asked: dict[str, str]) -> Iterator[Callable[[], Json]]:
        """`issues` (live and visible), `all` (with archived and hidden ones), `deleted`, `deleted_worklogs`, `projects`, `users`."""
        store, site = self.store, self.server.site
        renderers: dict[str, Any] = site.renderers  # type: ignore[attr-defined]
        renderer = renderers[asked.get("api", max(renderers))]

        def whole(issue: Issue) -> Json:
            facts = {
                "id": str(issue.id),
                "key": store.key(issue),
                "updated_ms": issue.updated,
                "created_ms": issue.created,
            }
            facts["project"] = store.catalog.projects[issue.project].key
            facts |= {"searchable": store.searchable(issue), "poison": issue.poison}
            if asked.get("brief") == "true":
                return facts
            return facts | {"issue": renderer.complete(issue)}

        match kind:
            case "issues":
                return (partial(whole, i) for i in store.live())
            case "all":
                return (partial(whole, i) for _, i in sorted(store.issues.items()))
            case "deleted":
                return (partial(dict, id=str(n), deleted_ms=t) for n, t in sorted(store.deleted.items()))
            case "deleted_worklogs":
                return (partial(dict, id=str(n), deleted_ms=t) for t, n in store.deleted_worklogs)
            case "projects":
                return (
                    partial(dict, id=p.id, key=p.key, name=p.name, archived=p.archived, deleted=p.deleted)
                    for p in store.catalog.projects
                )
            case "users":
                return (partial(decode, renderer.person(p.index)) for p in store.people)
            case _:
                raise ValueError(f"there is no kind {kind!r}")
