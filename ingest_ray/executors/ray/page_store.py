"""Staged pages in Ray's object store: one actor owns them all, so that they outlive their readers."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import ray

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.executors.ray.remote_errors import unwrapped
from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import StagingUnavailable
from ingest_ray.staging import open_staging
from ingest_ray.staging.page_index import PageIndex


@ray.remote(num_cpus=0, max_restarts=0)
class PagesActor:
    """Puts pages into the store again as their owner: an object dies with its owner, and readers are short-lived."""

    def __init__(self, cap_bytes: int) -> None:
        self._index = PageIndex[Any](cap_bytes)

    def put(self, run_id: str, page: pa.Buffer) -> str:
        self._index.refuse_above_cap(run_id, page.size)
        return self._index.add(run_id, ray.put(page), page.size)

    def get(self, key: str) -> list[Any]:
        """The reference in a list, so that the page itself does not travel through this process."""
        reference = self._index.get(key)
        return [reference] if reference is not None else []

    def drop(self, keys: Sequence[str]) -> None:
        self._index.drop(keys)

    def sweep(self, run_id: str) -> int:
        return self._index.sweep(run_id)

    def runs(self) -> Sequence[str]:
        return self._index.runs()


class RayPages:
    """The actor as a `PageStore`, for readers and sinks."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def put(self, run_id: str, page: pa.Buffer) -> str:
        return str(self._call("put", run_id, page))

    def get(self, key: str) -> pa.Buffer | None:
        found = self._call("get", key)
        try:
            return ray.get(found[0]) if found else None
        except ray.exceptions.ObjectLostError:
            return None

    def drop(self, keys: Sequence[str]) -> None:
        self._call("drop", list(keys))

    def sweep(self, run_id: str) -> int:
        return int(self._call("sweep", run_id))

    def runs(self) -> Sequence[str]:
        return list(self._call("runs"))

    def _call(self, method: str, *args: Any) -> Any:
        try:
            return ray.get(getattr(self._actor, method).remote(*args))
        except ray.exceptions.RayActorError as error:
            raise StagingUnavailable("the object store's owner is gone: its pages are lost") from error
        except ray.exceptions.RayTaskError as error:
            raise unwrapped(error) from error


def staging_on(order: RunOrder, pages: Any) -> Staging:
    if pages is None:
        return open_staging(order.settings, "files")
    return open_staging(order.settings, "object-store", RayPages(pages))


def start_pages(order: RunOrder) -> Any:
    """The owner of the run's pages; None where they are files."""
    if order.settings.staging.provider != "object-store":
        return None
    labels = order.settings.ray.actor_labels
    actor: Any = PagesActor
    return actor.options(label_selector=dict(labels) or None).remote(order.settings.staging.cap_bytes)
