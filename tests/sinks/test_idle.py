"""Connections between two transactions."""

import gc

import pytest

from ingest_ray.sinks.databases import connection_pool
from ingest_ray.sinks.databases.connection_pool import MOST, IdleConnections


class Owner:
    """Whoever keeps the connections."""


def test_the_connection_that_was_used_last_is_taken_first() -> None:
    owner, closed = Owner(), list[str]()
    kept = IdleConnections(owner, closed.append)
    kept.give("a")
    kept.give("b")
    assert [kept.take(), kept.take(), kept.take()] == ["b", "a", None]
    assert closed == []


def test_no_more_than_a_few_are_kept() -> None:
    owner, closed = Owner(), list[int]()
    kept = IdleConnections(owner, closed.append)
    for number in range(MOST + 2):
        kept.give(number)
    assert closed == [MOST, MOST + 1]


def test_one_that_was_idle_for_long_is_closed_and_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, closed = Owner(), list[str]()
    kept = IdleConnections(owner, closed.append)
    kept.give("old")
    monkeypatch.setattr(connection_pool, "IDLE_S", -1)
    assert kept.take() is None
    assert closed == ["old"]


def test_all_are_closed_when_their_owner_is_gone() -> None:
    owner, closed = Owner(), list[str]()
    kept = IdleConnections(owner, closed.append)
    kept.give("a")
    del owner
    gc.collect()
    assert closed == ["a"]
    assert kept.take() is None
