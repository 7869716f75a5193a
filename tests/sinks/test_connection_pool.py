"""The pool of idle connections."""

import gc

import pytest

from ingest_ray.sinks.databases import connection_pool
from ingest_ray.sinks.databases.connection_pool import MAX_IDLE, ConnectionPool


class Owner:
    """The object that the pool serves."""


def test_the_connection_that_was_used_last_is_taken_first() -> None:
    owner, closed = Owner(), list[str]()
    pool = ConnectionPool(owner, closed.append)
    pool.give_back("a")
    pool.give_back("b")
    assert [pool.take(), pool.take(), pool.take()] == ["b", "a", None]
    assert closed == []


def test_no_more_than_a_few_are_kept() -> None:
    owner, closed = Owner(), list[int]()
    pool = ConnectionPool(owner, closed.append)
    for number in range(MAX_IDLE + 2):
        pool.give_back(number)
    assert closed == [MAX_IDLE, MAX_IDLE + 1]


def test_one_that_was_idle_for_long_is_closed_and_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, closed = Owner(), list[str]()
    pool = ConnectionPool(owner, closed.append)
    pool.give_back("old")
    monkeypatch.setattr(connection_pool, "IDLE_S", -1)
    assert pool.take() is None
    assert closed == ["old"]


def test_all_are_closed_when_their_owner_is_gone() -> None:
    owner, closed = Owner(), list[str]()
    pool = ConnectionPool(owner, closed.append)
    pool.give_back("a")
    del owner
    gc.collect()
    assert closed == ["a"]
    assert pool.take() is None
