"""Data loaders: what a query needs of many objects is read once for all of them."""

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from strawberry.dataloader import DataLoader

from ingest_ray.catalog.dataset_versions import Version
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.catalog.run_records import Collection
from ingest_ray.catalog.schedule_slots import ScheduleRow
from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints.collections import latest_collections, newest_collections
from ingest_ray.service.endpoints.datasets import find_datasets, first_datasets
from ingest_ray.service.endpoints.registration import find_endpoints
from ingest_ray.service.installation import Installation
from ingest_ray.service.monitoring.freshness import UnitFreshness, find_freshness
from ingest_ray.service.runs.schedule_views import find_schedules, find_task_schedules
from ingest_ray.service.units.configs import find_configs
from ingest_ray.service.units.unit_status import UnitStatus, find_statuses, read_checkpoints
from ingest_ray.state import UnitState

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Loaders:
    """Of one request. Loaders read through use cases, in a thread."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._by_arguments: dict[tuple[str, int, str | None], DataLoader[str, Any]] = {}
        self.endpoint: DataLoader[str, Registration | None] = self._loader(find_endpoints)
        self.config: DataLoader[UnitRef, Configured | None] = self._loader(find_configs)
        self.unit_status: DataLoader[UnitRef, UnitStatus | None] = self._loader(find_statuses)
        self.freshness: DataLoader[UnitRef, UnitFreshness | None] = self._loader(find_freshness)
        self.checkpoint: DataLoader[tuple[UnitRef, str], UnitState | None] = self._loader(read_checkpoints)
        self.last_collection: DataLoader[str, Collection | None] = self._loader(latest_collections)
        self.dataset: DataLoader[tuple[str, str], Version | None] = self._loader(find_datasets)
        self.schedule: DataLoader[UnitRef, ScheduleRow | None] = self._loader(find_schedules)
        self.task_schedules: DataLoader[UnitRef, Mapping[str, ScheduleRow] | None] = self._loader(find_task_schedules)

    def collections(self, limit: int) -> DataLoader[str, list[Collection] | None]:
        """The newest of each endpoint."""
        key = ("collections", limit, None)
        if key not in self._by_arguments:
            self._by_arguments[key] = self._loader(partial(newest_collections, limit=limit))
        return self._by_arguments[key]

    def datasets(self, limit: int, search: str | None) -> DataLoader[str, list[Version] | None]:
        """The first of each endpoint, by name."""
        key = ("datasets", limit, search)
        if key not in self._by_arguments:
            self._by_arguments[key] = self._loader(partial(first_datasets, text=search, limit=limit))
        return self._by_arguments[key]

    def _loader(self, use_case: Callable[[Installation, Sequence[K]], Mapping[K, V]]) -> DataLoader[K, V | None]:
        async def load(keys: list[K]) -> list[V | None]:
            by_key = await asyncio.to_thread(use_case, self._installation, keys)
            return [by_key.get(key) for key in keys]

        return DataLoader(load_fn=load)
