"""One cap for the connections of an endpoint, over all runs."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest_ray.kv import open_kv
from ingest_ray.run.limits import limits_of
from ingest_ray.sdk.errors import RunActive
from ingest_ray.sdk.types import RunState
from ingest_ray.state.connection_share import ConnectionShare
from ingest_ray.state.documents import Owner
from ingest_ray.state.lease import this_process
from tests.run.installation import Installation

KEY = "ingest::postgres::endpoint::shop::connections"


def taken(url: str, run_id: str, cap: int, wanted: int) -> int:
    """0: refused. What is taken is kept."""
    try:
        return ConnectionShare.take(open_kv(url), KEY, run_id, this_process(), cap, wanted).count
    except RunActive:
        return 0


def test_runs_share_the_connections_of_an_endpoint(tmp_path: Path) -> None:
    kv = open_kv(f"sqlite:///{tmp_path}/state.db")
    first = ConnectionShare.take(kv, KEY, "run-1", this_process(), cap=6, wanted=4)
    assert first.count == 4
    second = ConnectionShare.take(kv, KEY, "run-2", this_process(), cap=6, wanted=4)
    assert second.count == 2
    with pytest.raises(RunActive, match="6 connections are taken: 4 by run run-1, 2 by run run-2"):
        ConnectionShare.take(kv, KEY, "run-3", this_process(), cap=6, wanted=2)
    first.close()
    third = ConnectionShare.take(kv, KEY, "run-3", this_process(), cap=6, wanted=9)
    assert third.count == 4
    second.close()
    third.close()


def test_what_a_dead_run_held_comes_back(tmp_path: Path) -> None:
    kv = open_kv(f"sqlite:///{tmp_path}/state.db")
    gone = Owner(host=this_process().host, pid=2**22 + 1, started="1")
    lost = ConnectionShare.take(kv, KEY, "run-1", gone, cap=2, wanted=2)
    lost._ended.set()  # as dead as its process
    assert ConnectionShare.take(kv, KEY, "run-2", this_process(), cap=2, wanted=2).count == 2


def test_many_that_take_at_once_never_have_more_than_there_are(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    open_kv(url).get("a")
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda n: taken(url, f"run-{n}", 9, 2), range(8)))
    assert sorted(counts) == [0, 0, 0, 0, 2, 2, 2, 2]


def test_a_run_uses_no_more_than_it_was_given_and_gives_it_back(tmp_path: Path) -> None:
    there = Installation(tmp_path, policy={"cursor": "at", "max_connections": 4})
    order = there.order()
    assert limits_of(order, [], readers=16, preparers=4, mappers=1).readers == 3  # the fourth is the planner's
    vendor = "testing"
    kv = open_kv(there.settings.state_url)
    other = ConnectionShare.take(kv, f"ingest::{vendor}::endpoint::e::connections", "other", this_process(), 4, 3)
    refused = there.run(order)
    assert refused.state is RunState.FAILED
    assert refused.error is not None
    assert refused.error.code == "E_RUN_ACTIVE"
    assert there.reads() == []
    other.close()
    assert there.run().state is RunState.SUCCEEDED
    assert there.run().state is RunState.SUCCEEDED
