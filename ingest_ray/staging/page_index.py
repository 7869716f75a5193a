"""The index of pages in an object store: which page has which key, to which run it belongs, and how many bytes each run holds."""

from collections.abc import Sequence
from typing import Generic, TypeVar
from urllib.parse import quote

from ingest_ray.sdk.errors import StagingTooLarge

T = TypeVar("T")


class PageIndex(Generic[T]):
    """`T` is a page, or a reference to one. A run holds at most `cap_bytes`."""

    def __init__(self, cap_bytes: int) -> None:
        self._cap_bytes = cap_bytes
        self._run_bytes: dict[str, int] = {}
        self._pages: dict[str, tuple[str, T, int]] = {}
        self._count = 0

    def refuse_above_cap(self, run_id: str, added_bytes: int) -> None:
        """Raises `StagingTooLarge` where the run would hold more than the cap. Called before `add`."""
        wanted_bytes = self._run_bytes.get(run_id, 0) + added_bytes
        if wanted_bytes > self._cap_bytes:
            raise StagingTooLarge(
                f"run '{run_id}' would hold {wanted_bytes} bytes in the object store, and {self._cap_bytes} is the cap",
                hint="choose staging provider 'files', or raise staging.cap_bytes",
            )

    def add(self, run_id: str, page: T, size_bytes: int) -> str:
        """Returns the page's key, which no other page ever gets."""
        self._count += 1
        key = f"{quote(run_id, safe='')}/{self._count}"
        self._pages[key] = (run_id, page, size_bytes)
        self._run_bytes[run_id] = self._run_bytes.get(run_id, 0) + size_bytes
        return key

    def get(self, key: str) -> T | None:
        entry = self._pages.get(key)
        return entry[1] if entry else None

    def drop(self, keys: Sequence[str]) -> None:
        """Unknown keys are ignored."""
        for key in keys:
            entry = self._pages.pop(key, None)
            if entry is not None:
                run_id, _, size_bytes = entry
                self._run_bytes[run_id] -= size_bytes

    def sweep(self, run_id: str) -> int:
        """Drops all pages of a run; returns their bytes."""
        sizes = {key: size_bytes for key, (owner, _, size_bytes) in self._pages.items() if owner == run_id}
        self.drop(list(sizes))
        return sum(sizes.values())

    def runs(self) -> Sequence[str]:
        return sorted({run_id for run_id, _, _ in self._pages.values()})
