"""The ids that a FULL run reads, each in exactly one slice, wherever its issue moves meanwhile.

A table that is replaced must have each issue once. So an id belongs to the segment that listed it first. On Cloud all projects are
listed before the first slice, and after that what was changed meanwhile: an issue that moved from a project that was listed late to one
that was listed early is in no other listing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from ingest_ray.sdk.types import Interval
from ingest_strategies.jira.api.client import Api
from ingest_strategies.jira.api.jql import BY_UPDATED, window


@dataclass
class IdLists:
    """Of one planner. `counts`: search's count of each project that is read."""

    api: Api
    conditions: Sequence[str]
    counts: Mapping[str, int]
    since_ms: int
    """Before the first listing, on the server's clock."""
    _owners: dict[int, str] = field(default_factory=dict)
    _by_project: dict[str, list[int]] | None = None
    _lock: Lock = field(default_factory=Lock)

    def claim(self, project: str, ids: Iterable[int]) -> list[int]:
        """Those of the ids that no other project has claimed."""
        with self._lock:
            return [number for number in ids if self._owners.setdefault(number, project) == project]

    def ids_of(self, project: str) -> list[int]:
        """Every id of a project, ascending; lists all projects at the first call."""
        if self._by_project is None:
            self._by_project = self._list_all()
        return self._by_project.get(project, [])

    def _list_all(self) -> dict[str, list[int]]:
        def list_project(key: str) -> tuple[str, list[int]]:
            return key, self.api.list_ids(window(key, BY_UPDATED, Interval(), self.conditions), self.counts[key])

        def list_changed(key: str) -> tuple[str, list[int]]:
            since = Interval(lower=(self.since_ms,))
            return key, self.api.list_ids(window(key, BY_UPDATED, since, self.conditions))

        keys = [key for key, issues in self.counts.items() if issues]
        by_project: dict[str, list[int]] = {key: [] for key in keys}
        for listing in (list_project, list_changed) if len(keys) > 1 else (list_project,):
            for key, ids in self.api.client.map_concurrently(listing, iter(keys)):
                by_project[key] = sorted({*by_project[key], *self.claim(key, ids)})
        return by_project
