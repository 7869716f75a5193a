"""The control endpoints under `/__sim/`: counts, mutations, expected records, the clock. They need no login, and are not counted, limited or faulty."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

from ingest_ray.simulators.atlassian.server.application import SiteServer
from ingest_ray.simulators.atlassian.server.routing import Reply, decode, encode, reply
from ingest_ray.simulators.atlassian.server.traps import UnknownTrap

Json = dict[str, Any]
_PAGE = 2_000  # expected records in one answer


class ControlEndpoints:
    """The control endpoints of both products. Subclasses give the operations of `mutate` and the records of `expected`."""

    operations: dict[str, Callable[[Any, Json], list[Any]]]

    def __init__(self, server: SiteServer, store: Any) -> None:
        self.server = server
        self.store = store

    def answer(self, method: str, path: str, query: bytes, body: bytes) -> Reply:
        parameters = {k: v[-1] for k, v in parse_qs(query.decode()).items()}
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
                case ("POST", "rate_limit"):
                    self.server.limits.change(float(document["rate"]))
                    return reply({})
                case ("POST", "rotate_token"):
                    return reply({"token": self.server.credentials.rotate()})
                case ("POST", "mutate"):
                    return reply(self._mutate(document))
                case ("GET", "expected"):
                    return self._expected(parameters)
                case ("GET", "endpoints"):
                    return reply(self.server.site.router.templates())
                case _:
                    return reply({"error": f"there is no {method} {path}"}, 404)
        except (KeyError, ValueError, UnknownTrap, StopIteration) as failure:
            return reply({"error": f"{type(failure).__name__}: {failure}"}, 400)

    def _mutate(self, document: Json) -> Json:
        """Runs `{"op": ..., ...}`, or `{"ops": [...]}`; answers with the ids that each operation changed."""
        steps = document.get("ops") or [document]
        changed = []
        for step in steps:
            operation = self.operations.get(str(step.get("op")))
            if operation is None:
                raise ValueError(f"no operation is called {step.get('op')!r}; there are {', '.join(self.operations)}")
            changed.append({"op": step["op"], "ids": operation(self.store, step)})
        return {"now_ms": self.server.clock.now(), "done": changed} if "ops" in document else changed[0]

    def _expected(self, parameters: dict[str, str]) -> Reply:
        """One page of expected records as JSON lines, from `offset`; the header `x-total` has their number."""
        records = list(self.records(parameters.get("kind", ""), parameters))
        offset, limit = int(parameters.get("offset", 0)), int(parameters.get("limit", _PAGE))
        part = [encode(make()) for make in records[offset : offset + limit]]
        return Reply(200, b"\n".join(part), {"x-total": str(len(records))}, "application/x-ndjson")

    def records(self, kind: str, parameters: dict[str, str]) -> Iterator[Callable[[], Json]]:
        raise NotImplementedError
