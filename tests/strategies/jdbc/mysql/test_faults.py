"""Faults of a MariaDB server, and the errors that they become."""

import time
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import ConfigError, IngestError, SourceChanged, SourceDenied, SourceUnavailable
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from tests.strategies.jdbc.maria import Maria


def endpoint(**config: Any) -> Endpoint:
    return Endpoint(endpoint_id="my", template="jdbc.mysql", config=config)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://app:sekret@db.example:3307/shop",
        "mariadb://app:sekret@db.example:3307/shop",
        "jdbc:mysql://db.example:3307/shop?user=app&password=sekret",
        "jdbc:mariadb://app:sekret@db.example:3307/shop",
        "mysql+pymysql://app:sekret@db.example:3307/shop",
    ],
)
def test_one_database_in_five_spellings(url: str) -> None:
    config = parse_config(MysqlConfig, endpoint(url=url))
    assert (config.host, config.port, config.database, config.user) == ("db.example", 3307, "shop", "app")
    assert config.secrets == ("sekret",)
    assert "sekret" not in str(config.url)
    assert "sekret" not in repr(config)


def test_an_unknown_parameter_of_a_url_is_named_and_its_value_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="parameter 'pasword' is not known") as caught:
        parse_config(MysqlConfig, endpoint(url="mysql://h/d?pasword=sekret"))
    assert "sekret" not in str(caught.value)


def test_a_host_that_does_not_answer_is_unavailable() -> None:
    report = strategy_for("jdbc.mysql").test(endpoint(url="mysql://app:sekret@127.0.0.1:1/shop"))
    assert not report.ok
    assert report.diagnostics[0].code == "unreachable"
    assert "sekret" not in report.model_dump_json()


def of(maria: Maria, **config: Any) -> Endpoint:
    return endpoint(**{"url": maria.url, **config})


@pytest.mark.services
def test_a2_a_wrong_password_is_denied_and_not_shown(maria: Maria) -> None:
    maria.run("CREATE USER IF NOT EXISTS 'locked'@'localhost' IDENTIFIED BY 'right'")
    report = strategy_for("jdbc.mysql").test(of(maria, url=maria.url_of("locked"), password="wrong-sekret"))
    assert report.diagnostics[0].code == "denied"
    assert "wrong-sekret" not in report.model_dump_json()


@pytest.mark.services
def test_a_table_without_a_grant_is_not_collected_and_is_denied_when_it_is_read(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY)")
    maria.run("INSERT INTO t VALUES (1)")
    maria.run("CREATE TABLE other (n int PRIMARY KEY)")
    maria.run("CREATE USER IF NOT EXISTS 'narrow'@'localhost'")
    maria.run(f"GRANT SELECT ON `{maria.name}`.t TO 'narrow'@'localhost'")
    unit = maria.unit("t", user="narrow")
    assert len(unit.run().rows) == 1
    names = {dataset.name for dataset in unit.strategy.collect(unit.spec.endpoint)}
    assert names == {f"{maria.name}.t"}
    maria.run(f"REVOKE SELECT ON `{maria.name}`.t FROM 'narrow'@'localhost'")
    with pytest.raises((SourceDenied, SourceChanged)):
        unit.run()


@pytest.mark.services
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ALTER TABLE t MODIFY v bigint", "column 'v' was 'int(11)' and is 'bigint(20)'"),
        ("ALTER TABLE t DROP v", "column 'v' is gone"),
        ("DROP TABLE t", "the table is gone"),
    ],
)
def test_c68_a_table_that_changed_between_plan_and_read(change: str, message: str, maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY, v int)")
    maria.run("INSERT INTO t VALUES (1, 1)")
    unit = maria.unit("t")
    unit.run()
    piece = unit.outcome.slices[0]
    maria.run(change)
    with pytest.raises(SourceChanged) as caught:
        list(unit.read(piece))
    assert message in caught.value.message


@pytest.mark.services
def test_a_session_that_is_ended_by_the_server_in_mid_read_is_no_end_of_the_data(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY, pad varchar(2000))")
    maria.run("INSERT INTO t SELECT seq, repeat('x', 2000) FROM seq_1_to_20000")
    unit = maria.unit("t", 100_000)
    unit.page_bytes = 64 * 1024
    unit.run()
    reading = unit.read(unit.outcome.slices[0])
    next(reading)
    for row in maria.run(
        "SELECT id FROM information_schema.processlist WHERE info LIKE '/* ingest_ray */%' AND id <> connection_id()"
    ):
        maria.run(f"KILL {row[0]}")
    with pytest.raises(SourceUnavailable):
        list(reading)


@pytest.mark.services
def test_a_statement_that_takes_too_long_is_unavailable(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY)")
    maria.run("INSERT INTO t VALUES (1), (2)")
    unit = maria.unit("t", where="sleep(60) = 0")
    slow = of(maria, statement_timeout_s=0.5)
    unit.spec = unit.spec.model_copy(update={"endpoint": slow})
    started = time.monotonic()
    with pytest.raises(SourceUnavailable, match="max_statement_time"):
        unit.run()
    assert time.monotonic() - started < 50


@pytest.mark.services
def test_a_result_is_never_cut_by_a_servers_own_limit(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY)")
    maria.run("INSERT INTO t SELECT seq FROM seq_1_to_50")
    try:
        maria.run("SET GLOBAL sql_select_limit = 3")
        rows = maria.unit("t").run().rows
    finally:
        maria.run("SET GLOBAL sql_select_limit = DEFAULT")
    assert len(rows) == 50


@pytest.mark.services
def test_d37_sessions_write_nothing_and_readers_that_are_left_early_leave_no_session(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY, pad varchar(2000))")
    maria.run("INSERT INTO t SELECT seq, repeat('x', 2000) FROM seq_1_to_20000")
    maria.run("CREATE FUNCTION writes() RETURNS int BEGIN INSERT INTO t VALUES (0, 'written'); RETURN 1; END")
    with pytest.raises(IngestError, match="READ ONLY"):
        maria.unit("t", 100_000, where="writes() = 1").run()
    unit = maria.unit("t", 100_000)
    unit.page_bytes = 64 * 1024
    unit.run()
    reading: Any = unit.read(unit.outcome.slices[0])
    next(reading)
    reading.close()
    mine = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '/* ingest_ray */%' AND id <> connection_id()"
    deadline = time.monotonic() + 60
    while maria.run(mine)[0][0] > 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.services
def test_a_filter_with_a_mistake_names_the_filter(maria: Maria) -> None:
    maria.run("CREATE TABLE t (n int PRIMARY KEY)")
    with pytest.raises(ConfigError) as caught:
        maria.unit("t", where="n >").run()
    assert caught.value.hint == "check the policy's 'where'"
