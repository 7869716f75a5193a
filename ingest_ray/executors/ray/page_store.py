"""Ray's object store as a place for staged pages: one actor owns them all, so that they outlive their readers."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import ray

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.executors.ray.remote_errors import unwrapped
from ingest_ray.sdk.contracts import Staging
from ingest_ray.sdk.errors import StagingUnavailable
from ingest_ray.staging import open_staging
from ingest_ray.staging.object_store import refuse_above_cap


@ray.remote(num_cpus=0, max_restarts=0)
class PagesActor:
    """Puts pages again under its own name: an object dies with its owner, and readers are short-lived."""

    def __init__(self, cap_bytes: int) -> None:
        self._cap_bytes = cap_bytes
        self._held: dict[str, int] = {}
        self._pages: dict[str, tuple[str, Any, int]] = {}
        self._count = 0

    def put(self, run_id: str, page: pa.Buffer) -> str:
        held = self._held.get(run_id, 0)
        refuse_above_cap(run_id, held + page.size, self._cap_bytes)
        self._count += 1
        key = f"{quote(run_id, safe='')}/{self._count}"
        self._pages[key] = (run_id, ray.put(page), page.size)
        self._held[run_id] = held + page.size
        return key

    def get(self, key: str) -> list[Any]:
        """The reference in a list, so that the page itself does not travel through this process."""
        found = self._pages.get(key)
        return [found[1]] if found else []

    def drop(self, keys: Sequence[str]) -> None:
        for key in keys:
            found = self._pages.pop(key, None)
            if found is not None:
                self._held[found[0]] -= found[2]

    def sweep(self, run_id: str) -> int:
        mine = {key: size for key, (owner, _, size) in self._pages.items() if owner == run_id}
        self.drop(list(mine))
        return sum(mine.values())

    def runs(self) -> Sequence[str]:
        return sorted({owner for owner, _, _ in self._pages.values()})


class RayPages:
    """What readers and sinks see of the actor: a `PageStore`."""

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
