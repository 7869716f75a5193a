"""Simulated KV: compare-and-set over versions that never repeat, as in the real ones; requests and answers get lost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest_ray.sdk.errors import StateConflict, StateUnavailable
from tests.simulation.fault_injection import FaultInjector
from tests.simulation.invariants import InvariantChecker
from tests.simulation.scheduler import Scheduler

Document = dict[str, Any]


@dataclass
class SimulatedKv:
    scheduler: Scheduler
    faults: FaultInjector
    checker: InvariantChecker
    stored: dict[str, tuple[Document | None, int]] = field(default_factory=dict)
    """A deleted document keeps its version."""
    replaced: list[tuple[str, tuple[Document | None, int]]] = field(default_factory=list)
    """For each write in order, its key and the entry that it replaced."""

    def get(self, key: str) -> tuple[Document, int] | None:
        self._begin_request()
        return self.peek(key)

    def peek(self, key: str) -> tuple[Document, int] | None:
        document, version = self.stored.get(key, (None, 0))
        return None if document is None else (document, version)

    def put(self, key: str, value: Mapping[str, Any], if_version: int) -> int:
        self._begin_request()
        version = self._expect(key, if_version) + 1
        self.scheduler.trace(f"put {key} version {version}: {value}")
        self.checker.check_write(key, self.stored.get(key, (None, 0))[0], dict(value))
        self._store(key, (dict(value), version))
        self._end_request()
        return version

    def delete(self, key: str, if_version: int) -> None:
        self._begin_request()
        if self.peek(key) is None:
            raise StateConflict(key)
        version = self._expect(key, if_version) + 1
        self.scheduler.trace(f"delete {key}")
        self.checker.forget_watermark(key)
        self._store(key, (None, version))
        self._end_request()

    def scan(self, prefix: str) -> Iterator[tuple[str, Document, int]]:
        self._begin_request()
        for key in sorted(self.stored):
            document = self.peek(key)
            if key.startswith(prefix) and document is not None:
                yield key, *document

    def _store(self, key: str, entry: tuple[Document | None, int]) -> None:
        self.replaced.append((key, self.stored.get(key, (None, 0))))
        self.stored[key] = entry

    def lose_writes(self, count: int) -> None:
        """Loses the last acknowledged writes, as a store that is restored from a snapshot does."""
        for _ in range(min(count, len(self.replaced))):
            key, entry = self.replaced.pop()
            self.stored[key] = entry
        self.scheduler.trace(f"the store loses its last {count} writes")
        documents = {key: document for key, (document, _) in self.stored.items() if document is not None}
        self.checker.restore_watermarks(documents)

    def _expect(self, key: str, if_version: int) -> int:
        document, version = self.stored.get(key, (None, 0))
        if (version if document is not None else 0) != if_version:
            raise StateConflict(key)
        return version

    def _begin_request(self) -> None:
        self.scheduler.pause()
        if self.faults.occurs("kv: not answered"):
            raise StateUnavailable("the KV does not answer")

    def _end_request(self) -> None:
        if self.faults.occurs("kv: answer lost"):
            raise StateUnavailable("the KV wrote the document, but its answer was lost")
        self.scheduler.pause()
