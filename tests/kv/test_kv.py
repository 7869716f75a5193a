"""Every KV behaves the same; each also says clearly when its store is gone, and goes on when it is back."""

import gc
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.kv import open_kv
from ingest_ray.kv.engine import parse, shown
from ingest_ray.sdk.errors import ConfigError, StateUnavailable, StateUnreadable
from ingest_ray.testing.suites.kv import KvSuite
from tests.kv.tls_proxy import TlsProxy, certificate


class TestSqlite(KvSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/new folder/state.db"


@pytest.mark.services
class TestPostgres(KvSuite):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


@pytest.mark.services
class TestRedis(KvSuite):
    @pytest.fixture
    def url(self, redis_url: str) -> str:
        return redis_url


def test_sqlite_keeps_a_write_ahead_log_that_survives_a_power_cut(tmp_path: Path) -> None:
    open_kv(f"sqlite:///{tmp_path}/state.db").put("a", {}, 0)
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_that_is_no_database_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StateUnavailable, match=r"state\.db.*not a database") as caught:
        open_kv(f"sqlite:///{tmp_path}/state.db").get("a")
    assert caught.value.hint


def test_a_stored_value_that_is_not_json_is_unreadable_and_names_its_key(tmp_path: Path) -> None:
    kv = open_kv(f"sqlite:///{tmp_path}/state.db")
    kv.put("a::b", {}, 0)
    for garbage in ("{", "[1]", "7"):
        with closing(sqlite3.connect(tmp_path / "state.db")) as connection, connection:
            connection.execute("UPDATE ingest_kv SET value = ?", (garbage,))
        with pytest.raises(StateUnreadable, match="a::b"):
            kv.get("a::b")


@pytest.mark.services
def test_redis_values_without_a_version_are_unreadable(redis_server: Any, redis_url: str) -> None:
    import redis

    kv = open_kv(redis_url)
    kv.put("a", {}, 0)
    prefix = redis_url.partition("prefix=")[2]
    with redis.Redis(port=redis_server.port) as client:
        client.hset(f"{{{prefix}}}:documents", "a", "rubbish")
    with pytest.raises(StateUnreadable, match="a:"):
        kv.get("a")


@pytest.mark.services
def test_redis_prefixes_do_not_see_each_other(redis_url: str) -> None:
    one, other = open_kv(redis_url), open_kv(redis_url + "x")
    one.put("a", {"n": 1}, 0)
    assert other.get("a") is None
    assert list(other.scan("")) == []


@pytest.mark.services
def test_redis_compares_and_sets_in_one_command(redis_server: Any, redis_url: str) -> None:
    import redis

    kv = open_kv(redis_url)
    version = kv.put("a", {"n": 1}, 0)
    with redis.Redis(port=redis_server.port) as client:
        client.config_resetstat()
        kv.put("a", {"n": 2}, version)
        stats = client.info("commandstats")
    # What the script itself calls is counted, too; the client sent one EVAL and nothing else.
    assert stats["cmdstat_eval"]["calls"] == 1
    assert set(stats) <= {
        "cmdstat_eval",
        "cmdstat_hget",
        "cmdstat_hset",
        "cmdstat_zadd",
        "cmdstat_config|resetstat",
        "cmdstat_config",
    }


@pytest.mark.services
def test_redis_over_tls_is_used_when_its_certificate_is_trusted_and_refused_when_not(
    redis_server: Any, tmp_path: Path
) -> None:
    pem = certificate(tmp_path)
    door = TlsProxy(pem, redis_server.port)
    try:
        trusted = open_kv(f"rediss://127.0.0.1:{door.port}/0?ssl_ca_certs={pem}&prefix=tls")
        trusted.put("a", {"n": 1}, 0)
        assert trusted.get("a") == ({"n": 1}, 1)
        assert door.opened == 1
        with pytest.raises(StateUnavailable, match=r"rediss://127\.0\.0\.1.*certificate"):
            open_kv(f"rediss://127.0.0.1:{door.port}/0?prefix=tls").get("a")
    finally:
        door.close()


@pytest.mark.services
def test_a_redis_that_is_gone_is_named_without_its_password_and_used_again_when_it_is_back(redis_server: Any) -> None:
    kv = open_kv(f"redis://127.0.0.1:{redis_server.port}/0?prefix=back")
    version = kv.put("a", {"n": 1}, 0)
    redis_server.stop()
    with pytest.raises(StateUnavailable, match=rf"127\.0\.0\.1:{redis_server.port}") as caught:
        kv.put("a", {"n": 2}, version)
    assert "server runs" in str(caught.value.hint)
    redis_server.start()
    assert kv.put("a", {"n": 2}, version) > version


@pytest.mark.services
def test_a_redis_that_refuses_the_login_does_not_show_the_password(redis_server: Any) -> None:
    with pytest.raises(StateUnavailable) as caught:
        open_kv(f"redis://me:hunter2@127.0.0.1:{redis_server.port}").get("a")
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # pg8000 leaves a broken socket to the collector
@pytest.mark.services
def test_a_postgres_that_is_gone_is_named_and_used_again_when_it_is_back(
    postgres_url: str, restart_postgres: Any
) -> None:
    stop, start = restart_postgres
    kv = open_kv(postgres_url)
    version = kv.put("a", {"n": 1}, 0)
    stop()
    with pytest.raises(StateUnavailable) as caught:
        kv.put("a", {"n": 2}, version)
    assert caught.value.hint
    start()
    assert kv.put("a", {"n": 2}, version) == version + 1
    del kv, caught
    gc.collect()  # the broken sockets go here, where their warning is expected


def test_an_unreachable_postgres_shows_its_host_and_no_secret() -> None:
    url = "postgresql://me:hunter2@127.0.0.1:1/db?connect_timeout=2"
    with pytest.raises(StateUnavailable, match=r"postgresql://127\.0\.0\.1:1/db") as caught:
        open_kv(url).get("a")
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value!r}"


@pytest.mark.parametrize(
    "url", ["mysql://h/db", "nonsense", "postgresql://h/db?sslmode=maybe", "postgresql://h/db?gssencmode=x"]
)
def test_a_url_that_cannot_hold_state_is_the_users_mistake(url: str) -> None:
    with pytest.raises(ConfigError):
        open_kv(url)


def test_what_is_shown_of_a_url_has_no_user_and_no_password() -> None:
    assert shown(parse("postgresql://u:p@h:5433/d?password=q")) == "postgresql://h:5433/d"


@pytest.mark.services
def test_a_missing_redis_library_is_no_reason_to_import_it_for_sqlite(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = f"import sys; from ingest_ray.kv import open_kv; open_kv('sqlite:///{tmp_path}/s.db').get('a'); print('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
