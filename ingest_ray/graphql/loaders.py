"""What a query needs of many objects at once: read once for all of them, however many there are."""

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from strawberry.dataloader import DataLoader

from ingest_ray.catalog import dataset_versions, endpoints, run_records, schedule_slots, unit_configs
from ingest_ray.catalog.dataset_versions import Version
from ingest_ray.catalog.endpoints import Registration
from ingest_ray.catalog.run_records import Collection
from ingest_ray.catalog.schedule_slots import ScheduleRow
from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.service.endpoints.collect import current_collection
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.unit_status import UnitStatus, find_statuses, read_checkpoints
from ingest_ray.state import UnitState

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Loaders:
    """For one request."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._by_limit: dict[tuple[str, int, str | None], DataLoader[str, Any]] = {}
        self.endpoint: DataLoader[str, Registration | None] = _loader(self._endpoints)
        self.config: DataLoader[UnitRef, Configured | None] = _loader(self._configs)
        self.standing: DataLoader[UnitRef, UnitStatus | None] = _loader(lambda refs: find_statuses(installation, refs))
        self.checkpoint: DataLoader[tuple[UnitRef, str], UnitState | None] = _loader(
            lambda wanted: read_checkpoints(installation, wanted)
        )
        self.last_collection: DataLoader[str, Collection | None] = _loader(self._last_collections)
        self.dataset: DataLoader[tuple[str, str], Version | None] = _loader(self._datasets)
        self.schedule: DataLoader[UnitRef, ScheduleRow | None] = _loader(self._schedules)

    def collections(self, limit: int) -> DataLoader[str, list[Collection] | None]:
        """The newest of each endpoint."""
        return self._limited("collections", limit, None, lambda ids: self._collections(ids, limit))

    def datasets(self, limit: int, search: str | None) -> DataLoader[str, list[Version] | None]:
        """The first of each endpoint, by name."""
        return self._limited("datasets", limit, search, lambda ids: self._datasets_of(ids, limit, search))

    def _limited(
        self, what: str, limit: int, search: str | None, read: Callable[[Sequence[str]], Mapping[str, V]]
    ) -> DataLoader[str, V | None]:
        key = (what, limit, search)
        if key not in self._by_limit:
            self._by_limit[key] = _loader(read)
        return self._by_limit[key]

    def _endpoints(self, ids: Sequence[str]) -> Mapping[str, Registration]:
        with self._installation.catalog.read() as connection:
            return endpoints.known(connection, ids)

    def _configs(self, refs: Sequence[UnitRef]) -> Mapping[UnitRef, Configured]:
        with self._installation.catalog.read() as connection:
            found = unit_configs.find_many(connection, refs)
        return {item.config.ref: item for item in found}

    def _schedules(self, refs: Sequence[UnitRef]) -> Mapping[UnitRef, ScheduleRow]:
        ids = {unit.endpoint_id for unit in refs}
        with self._installation.catalog.read() as connection:
            return schedule_slots.listed(connection, ids.pop() if len(ids) == 1 else None)

    def _last_collections(self, ids: Sequence[str]) -> Mapping[str, Collection]:
        with self._installation.catalog.read() as connection:
            return run_records.latest_collections(connection, ids)

    def _collections(self, ids: Sequence[str], limit: int) -> Mapping[str, list[Collection]]:
        with self._installation.catalog.read() as connection:
            found = run_records.newest_collections(connection, ids, limit)
        return {name: [current_collection(item) for item in items] for name, items in found.items()}

    def _datasets(self, refs: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Version]:
        with self._installation.catalog.read() as connection:
            return dataset_versions.named(connection, refs)

    def _datasets_of(self, ids: Sequence[str], limit: int, search: str | None) -> Mapping[str, list[Version]]:
        with self._installation.catalog.read() as connection:
            return dataset_versions.first_of_each(connection, ids, search, limit)


def _loader(read: Callable[[Sequence[K]], Mapping[K, V]]) -> DataLoader[K, V | None]:
    async def load(keys: list[K]) -> list[V | None]:
        found = await asyncio.to_thread(read, keys)
        return [found.get(key) for key in keys]

    return DataLoader(load_fn=load)
