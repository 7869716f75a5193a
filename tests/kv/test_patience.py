"""A run whose state store goes away for a while goes on when it comes back."""

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from ingest_ray.errors import StateConflict, StateUnavailable
from ingest_ray.kv import open_kv
from ingest_ray.kv.patient import PatientKV
from ingest_ray.models import RunState
from ingest_ray.orders import Progress
from ingest_ray.run import launch
from tests.run.installation import Installation


class Fitful:
    """A store that does not answer `faults` times; `is_written` says whether it then had written all the same."""

    def __init__(self, faults: int, is_written: bool = False) -> None:
        self.faults, self.is_written = faults, is_written
        self.documents: dict[str, tuple[dict[str, JsonValue], int]] = {}

    def _answer(self) -> None:
        if self.faults:
            self.faults -= 1
            raise StateUnavailable("no answer")

    def get(self, key: str) -> tuple[dict[str, JsonValue], int] | None:
        self._answer()
        return self.documents.get(key)

    def put(self, key: str, value: Mapping[str, JsonValue], if_version: int) -> int:
        if not self.is_written:
            self._answer()
        if self.documents.get(key, ({}, 0))[1] != if_version:
            raise StateConflict("another version")
        self.documents[key] = (dict(value), if_version + 1)
        self._answer()
        return if_version + 1

    def delete(self, key: str, if_version: int) -> None:
        self._answer()
        del self.documents[key]

    def scan(self, prefix: str) -> Iterator[tuple[str, dict[str, JsonValue], int]]:
        for key, (value, version) in sorted(self.documents.items()):
            yield key, value, version
            self._answer()


def test_every_call_is_tried_again_until_there_is_an_answer() -> None:
    store = Fitful(2)
    kv = PatientKV(store)
    assert kv.put("a", {"n": 1}, 0) == 1
    kv.put("b", {}, 0)
    store.faults = 2
    assert [key for key, _, _ in kv.scan("")] == ["a", "b"]
    store.faults = 1
    assert kv.get("a") == ({"n": 1}, 1)
    store.faults = 1
    kv.delete("a", 1)
    assert kv.get("a") is None


def test_patience_ends_with_the_stores_own_error() -> None:
    with pytest.raises(StateUnavailable, match="no answer"):
        PatientKV(Fitful(10**6), patience_s=0.3).get("a")


def test_a_write_whose_answer_was_lost_is_a_conflict_that_the_writer_can_tell() -> None:
    store = Fitful(1, is_written=True)
    with pytest.raises(StateConflict):
        PatientKV(store).put("a", {"n": 1}, 0)
    assert store.get("a") == ({"n": 1}, 1)


@pytest.mark.services
def test_d31_a_run_goes_on_when_its_redis_was_gone_for_a_while(tmp_path: Path, redis_server: Any) -> None:
    there = Installation(tmp_path)
    url = f"redis://127.0.0.1:{redis_server.port}/0?prefix=patient"
    order = there.order()
    order = order.model_copy(update={"settings": order.settings.model_copy(update={"kv_url": url})})
    outages: list[threading.Thread] = []

    def come_back() -> None:
        time.sleep(1.5)
        redis_server.start()

    def observe(progress: Progress) -> None:
        if progress.rows.committed >= 500 and not outages:
            redis_server.stop()
            outages.append(threading.Thread(target=come_back))
            outages[0].start()

    summary = launch([order], observe, lambda: False)[0]
    outages[0].join()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert there.ids() == there.expected_ids()
    assert list(open_kv(url).scan("ingest"))
