"""The behaviour suite of every KV. A new KV runs it with two lines:

class TestMyKV(KvSuite):
    url = pytest.fixture(lambda: "my://store")
"""

import multiprocessing
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from ingest_ray.kv import open_kv
from ingest_ray.sdk.contracts import KV
from ingest_ray.sdk.errors import ConfigError, PayloadTooLarge, StateConflict

_parts = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=6)
_documents = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
_QUICK = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class KvSuite:
    """Subclasses give a fixture `url`: an empty store that other processes can open, too."""

    @pytest.fixture
    def kv(self, url: str) -> Iterator[KV]:
        store = open_kv(url)
        yield store
        _close(store)

    def test_a_key_that_nobody_wrote_is_none(self, kv: KV) -> None:
        assert kv.get("a") is None
        assert list(kv.scan("")) == []

    def test_what_was_put_comes_back_with_its_version(self, kv: KV) -> None:
        first = kv.put("a", {"n": 1}, 0)
        assert kv.get("a") == ({"n": 1}, first)
        second = kv.put("a", {"n": 2}, first)
        assert second > first > 0
        assert kv.get("a") == ({"n": 2}, second)

    def test_a_stale_version_is_a_conflict_and_changes_nothing(self, kv: KV) -> None:
        first = kv.put("a", {"n": 1}, 0)
        second = kv.put("a", {"n": 2}, first)
        for stale in (0, first, second + 1, -1):
            with pytest.raises(StateConflict):
                kv.put("a", {"n": 3}, stale)
            with pytest.raises(StateConflict):
                kv.delete("a", stale)
        assert kv.get("a") == ({"n": 2}, second)

    def test_a_version_cannot_be_expected_of_a_key_that_is_not_there(self, kv: KV) -> None:
        with pytest.raises(StateConflict):
            kv.put("a", {}, 1)
        with pytest.raises(StateConflict):
            kv.delete("a", 0)
        assert kv.get("a") is None

    def test_a_deleted_key_is_gone_and_its_versions_never_come_back(self, kv: KV) -> None:
        seen = [kv.put("a", {"n": 1}, 0)]
        for n in range(3):
            kv.delete("a", seen[-1])
            assert kv.get("a") is None
            assert list(kv.scan("a")) == []
            with pytest.raises(StateConflict):
                kv.put("a", {"late": True}, seen[-1])
            with pytest.raises(StateConflict):
                kv.put("a", {"late": True}, seen[-1] + 1)
            seen.append(kv.put("a", {"n": n}, 0))
        assert len(set(seen)) == len(seen)
        assert seen == sorted(seen)

    def test_a_scan_takes_its_prefix_literally(self, kv: KV) -> None:
        for key in ("a%b", "a%", "axb", "a_b", "a*", "a[b]", "a?", "A%b", "a\\b", "a"):
            kv.put(key, {"key": key}, 0)
        for prefix in ("a%", "a_", "a*", "a[", "a?", "a\\", "A", "b"):
            keys = [key for key, _, _ in kv.scan(prefix)]
            assert keys == sorted(
                key for key in ("a%b", "a%", "a_b", "a*", "a[b]", "a?", "A%b", "a\\b") if key.startswith(prefix)
            )

    def test_a_scan_goes_over_many_pages_in_key_order_and_misses_nothing(self, kv: KV) -> None:
        keys = [f"unit::segment::{n}" for n in range(1100)]
        for key in [*keys, "unit::lease", "unit::segmen", "unit::segment;", "unit2::segment::1"]:
            kv.put(key, {"key": key}, 0)
        found = list(kv.scan("unit::segment::"))
        assert [key for key, _, _ in found] == sorted(keys)
        assert all(value == {"key": key} and version == 1 for key, value, version in found)

    def test_writing_while_scanning_disturbs_nobody(self, kv: KV) -> None:
        for n in range(600):
            kv.put(f"k{n:04}", {"n": 0}, 0)
        for key, value, version in kv.scan("k"):
            kv.put(key, {"n": 1, **value, "seen": True}, version)
        assert all(value["seen"] is True for _, value, _ in kv.scan("k"))

    @_QUICK
    @given(data=st.data())
    def test_any_key_and_any_document_come_back_in_binary_order(self, kv: KV, data: st.DataObject) -> None:
        root = uuid.uuid4().hex
        stored: dict[str, dict[str, JsonValue]] = data.draw(st.dictionaries(_parts, _documents, max_size=5))
        for part, value in stored.items():
            kv.put(root + part, value, 0)
        found = [(key.removeprefix(root), value) for key, value, _ in kv.scan(root)]
        assert found == sorted(stored.items(), key=lambda item: item[0].encode())
        for part, value in stored.items():
            assert kv.get(root + part) == (value, 1)

    def test_documents_of_an_unknown_kind_come_back_as_they_are(self, kv: KV) -> None:
        odd: dict[str, JsonValue] = {
            "schema": 99,
            "": None,
            "deep": [[{"\u0000": "\ud800"}]],
            "big": 10**40,
            "x": 1.5e300,
        }
        kv.put("a", odd, 0)
        assert kv.get("a") == (odd, 1)
        assert list(kv.scan("a")) == [("a", odd, 1)]

    def test_a_document_of_64_kib_fits_and_one_byte_more_does_not(self, kv: KV) -> None:
        full: dict[str, JsonValue] = {"v": "é" * ((64 * 1024 - 8) // 2)}
        version = kv.put("a", full, 0)
        assert kv.get("a") == (full, version)
        with pytest.raises(PayloadTooLarge, match="a: a document of 65537 bytes"):
            kv.put("a", {"v": "x" * (64 * 1024 - 7)}, version)
        assert kv.get("a") == (full, version)

    def test_what_is_not_json_and_what_is_no_key_are_refused(self, kv: KV) -> None:
        with pytest.raises(ConfigError):
            kv.put("a", {"v": float("nan")}, 0)
        with pytest.raises(ConfigError):
            kv.put("a", {"v": object()}, 0)  # type: ignore[dict-item]
        for key in ("", "a\x00b", "\ud800"):
            with pytest.raises(ConfigError):
                kv.put(key, {}, 0)
        assert list(kv.scan("")) == []

    def test_of_threads_that_race_for_a_version_exactly_one_wins(self, kv: KV) -> None:
        with ThreadPoolExecutor(8) as pool:
            for round_ in range(20):
                version = kv.put(f"race{round_}", {"by": -1}, 0)
                wins = list(pool.map(lambda n: _try_put(kv, f"race{round_}", n, version), range(8)))  # noqa: B023
                winners = [n for n, won in enumerate(wins) if won]
                assert len(winners) == 1
                found = kv.get(f"race{round_}")
                assert found is not None
                assert found[0] == {"by": winners[0]}

    def test_of_threads_that_create_one_key_exactly_one_wins(self, kv: KV) -> None:
        with ThreadPoolExecutor(8) as pool:
            for round_ in range(20):
                start = threading.Barrier(8)

                def create(n: int, key: str = f"new{round_}", start: threading.Barrier = start) -> bool:
                    start.wait()
                    return _try_put(kv, key, n, 0)

                assert sum(pool.map(create, range(8))) == 1

    def test_processes_that_count_together_lose_no_count(self, kv: KV, url: str) -> None:
        """Optimistic increments from several processes, which also create the store together."""
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=count_up, args=(url, 40)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        found = kv.get("count")
        assert found is not None
        assert found[0] == {"n": 120}

    def test_two_openers_see_each_other(self, kv: KV, url: str) -> None:
        other = open_kv(url)
        version = kv.put("a", {"n": 1}, 0)
        assert other.get("a") == ({"n": 1}, version)
        other.delete("a", version)
        assert kv.get("a") is None
        _close(other)


def count_up(url: str, times: int) -> None:
    """Adds one to a counter, `times` times, while other processes do the same."""
    kv = open_kv(url)
    for _ in range(times):
        while True:
            found = kv.get("count") or ({"n": 0}, 0)
            n = found[0]["n"]
            assert isinstance(n, int)
            try:
                kv.put("count", {"n": n + 1}, found[1])
                break
            except StateConflict:
                continue
    _close(kv)


def _try_put(kv: KV, key: str, by: int, version: int) -> bool:
    try:
        kv.put(key, {"by": by}, version)
    except StateConflict:
        return False
    return True


def _close(kv: KV) -> None:
    close = getattr(kv, "close", None)
    if close is not None:
        close()
