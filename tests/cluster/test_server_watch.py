"""When Ray's servers count as lost."""

import socket

import pytest

from ingest_ray.executors.ray import server_watch
from ingest_ray.executors.ray.server_watch import ServerWatch
from ingest_ray.sdk.errors import ClusterUnavailable


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(server_watch, "time", clock)
    return clock


def test_a_server_that_listens_is_there_and_one_that_does_not_is_lost(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        watched = ServerWatch([server.getsockname()], 0.0)
        clock.now += 2
        watched.check()
    clock.now += 2
    with pytest.raises(ClusterUnavailable):
        watched.check()


def test_who_leaves_looks_at_once(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        watched, patient = (ServerWatch([server.getsockname()], patience_s) for patience_s in (0.0, 40.0))
    assert not watched.is_lost()
    assert not patient.is_lost(at_once=True)
    assert watched.is_lost(at_once=True)


def test_one_of_several_is_enough(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        place = gone.getsockname()
    with socket.create_server(("127.0.0.1", 0)) as server:
        watched = ServerWatch([server.getsockname(), place], 0.0)
        clock.now += 2
        assert watched.is_lost()


def test_one_that_comes_back_in_time_was_never_lost(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first:
        place = first.getsockname()
    watched = ServerWatch([place], 40.0)
    clock.now += 39
    assert not watched.is_lost()
    with socket.create_server(place):
        clock.now += 2
        assert not watched.is_lost()
    clock.now += 39
    assert not watched.is_lost()
    clock.now += 2
    assert watched.is_lost()


def test_a_local_server_that_is_too_busy_to_answer_is_there(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", busy)
    local, joined = ServerWatch([("127.0.0.1", 1)], 0.0), ServerWatch([("127.0.0.1", 1)], 40.0)
    clock.now += 41
    assert not local.is_lost()
    assert joined.is_lost()
