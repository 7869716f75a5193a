"""The KV: compare-and-set over versions that never come back, as the real ones; requests and answers get lost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest_ray.sdk.errors import StateConflict, StateUnavailable
from tests.simulation.chance import Chance
from tests.simulation.judge import Judge
from tests.simulation.scheduler import Scheduler

Document = dict[str, Any]


@dataclass
class Store:
    scheduler: Scheduler
    chance: Chance
    judge: Judge
    stored: dict[str, tuple[Document | None, int]] = field(default_factory=dict)
    """A deleted document keeps its version."""

    def get(self, key: str) -> tuple[Document, int] | None:
        self._ask()
        return self.seen(key)

    def seen(self, key: str) -> tuple[Document, int] | None:
        document, version = self.stored.get(key, (None, 0))
        return None if document is None else (document, version)

    def put(self, key: str, value: Mapping[str, Any], if_version: int) -> int:
        self._ask()
        version = self._expect(key, if_version) + 1
        self.scheduler.say(f"put {key} version {version}: {value}")
        self.judge.writes(key, self.stored.get(key, (None, 0))[0], dict(value))
        self.stored[key] = (dict(value), version)
        self._answer()
        return version

    def delete(self, key: str, if_version: int) -> None:
        self._ask()
        if self.seen(key) is None:
            raise StateConflict(key)
        version = self._expect(key, if_version) + 1
        self.scheduler.say(f"delete {key}")
        self.judge.deletes(key)
        self.stored[key] = (None, version)
        self._answer()

    def scan(self, prefix: str) -> Iterator[tuple[str, Document, int]]:
        self._ask()
        for key in sorted(self.stored):
            found = self.seen(key)
            if key.startswith(prefix) and found is not None:
                yield key, *found

    def _expect(self, key: str, if_version: int) -> int:
        document, version = self.stored.get(key, (None, 0))
        if (version if document is not None else 0) != if_version:
            raise StateConflict(key)
        return version

    def _ask(self) -> None:
        self.scheduler.pause()
        if self.chance.strikes("kv: not answered"):
            raise StateUnavailable("the store does not answer")

    def _answer(self) -> None:
        if self.chance.strikes("kv: answer lost"):
            raise StateUnavailable("the store did it, but its answer was lost")
        self.scheduler.pause()
