"""What MySQL 8 has other than MariaDB, without a server of it: its plug-ins of authentication, and its information schema."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest

from ingest_ray.sdk.errors import ConfigError, SourceDenied
from ingest_ray.sdk.types import Endpoint
from ingest_ray.sinks.databases.mysql.connection import Connection
from ingest_ray.sinks.databases.mysql.errors import translate_error
from ingest_strategies.jdbc.mysql.catalog import read_datasets
from ingest_strategies.jdbc.mysql.dialect import Mysql
from ingest_strategies.jdbc.mysql.types import second_spelling
from tests.kv.tls_proxy import certificate
from tests.strategies.jdbc.mysql.mysql8_handshake import HandshakeServer, handshake_server

PASSWORD = "s3cret-of-mysql-8"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


def version_by_source(server: HandshakeServer, password: str = PASSWORD, **config: Any) -> str:
    fields = {"host": "127.0.0.1", "port": server.port, "user": "app", "password": password, **config}
    with Mysql().open(Endpoint(endpoint_id="my", template="jdbc.mysql", config=fields)) as session:
        return Mysql().version(session)


def version_by_sink(server: HandshakeServer, password: str = PASSWORD, **options: Any) -> str:
    connection = Connection(host="127.0.0.1", port=server.port, user="app", password=password, **options)
    with connection.cursor() as cursor:
        cursor.execute("SELECT version()")
        ((version,),) = cursor.fetchall()
    connection.close()
    return f"MySQL {version}"


WAYS = [version_by_source, version_by_sink]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("has_tls", [False, True])
@pytest.mark.parametrize("plugin", ["caching_sha2_password", "mysql_native_password"])
def test_accounts_of_mysql_8_log_in(way: Callable[..., str], has_tls: bool, plugin: str, pem: Path) -> None:
    """Twice: the second time MySQL knows the password of `caching_sha2_password` from the first."""
    with handshake_server(PASSWORD, plugin, pem if has_tls else None) as server:
        assert [way(server), way(server)] == ["MySQL 8.4.3"] * 2
        sent = [content for content in server.received if PASSWORD.encode() in content]
        assert sent == [] or has_tls


@pytest.mark.parametrize("plugin", ["caching_sha2_password", "mysql_native_password"])
def test_a_wrong_password_is_a_refusal(plugin: str, pem: Path) -> None:
    with handshake_server(PASSWORD, plugin, pem) as server:
        with pytest.raises(SourceDenied, match="Access denied") as caught:
            version_by_source(server, "wrong-password")
        assert "wrong-password" not in caught.value.message
        with pytest.raises(pymysql.OperationalError) as refused:
            version_by_sink(server, "wrong-password")
        assert isinstance(translate_error(refused.value, "mysql://db"), ConfigError)


def test_a_password_goes_in_clear_text_through_tls_only(pem: Path) -> None:
    """Whatever account it has: anybody between client and server could ask for it so."""
    with handshake_server(PASSWORD, "mysql_clear_password", pem) as server:
        assert version_by_source(server) == version_by_sink(server) == "MySQL 8.4.3"
        with pytest.raises(SourceDenied, match="Access denied"):
            version_by_source(server, "wrong-password")
    with handshake_server(PASSWORD, "mysql_clear_password") as server:
        with pytest.raises(SourceDenied, match="asks for the password in clear text, and the connection has no TLS"):
            version_by_source(server)
        with pytest.raises(pymysql.OperationalError, match="clear text") as refused:
            version_by_sink(server)
        assert isinstance(translate_error(refused.value, "mysql://db"), ConfigError)
        assert [content for content in server.received if PASSWORD.encode() in content] == []


@pytest.mark.parametrize("code", [1130, 1820, 1862, 3118, 3159])
def test_logins_that_a_person_must_mend_are_not_tried_again(code: int) -> None:
    error = pymysql.OperationalError(code, "no")
    assert isinstance(translate_error(error, "mysql://db"), ConfigError)


def test_a_server_that_demands_primary_keys_is_named_with_its_setting() -> None:
    """https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_sql_require_primary_key"""
    error = translate_error(
        pymysql.OperationalError(3750, "Unable to create a table without a primary key"), "mysql://db"
    )
    assert "sql_generate_invisible_primary_key" in str(error.hint)


def test_collations_of_mysql_8_that_hold_texts_equal() -> None:
    """https://dev.mysql.com/doc/refman/8.4/en/charset-unicode-sets.html: `_0900_` does not pad; only `_bin` compares code points."""
    assert second_spelling("varchar", "utf8mb4_0900_bin") is None
    for collation in ("utf8mb4_0900_ai_ci", "utf8mb4_0900_as_ci", "utf8mb4_0900_as_cs", "utf8mb4_ja_0900_as_cs"):
        assert second_spelling("varchar", collation) is not None
    assert "blanks" in str(second_spelling("varchar", "utf8mb4_bin"))


# --- the information schema, in the spelling of MySQL 8.4: https://dev.mysql.com/doc/refman/8.4/en/information-schema-columns-table.html

TABLES = [
    ("shop", "orders", "BASE TABLE", 42, 16384, "all orders", "InnoDB"),
    ("shop", "broken", "VIEW", None, None, "View 'shop.broken' references invalid table(s) or column(s)", None),
    ("shop", "statistics", "SYSTEM VIEW", None, None, "", None),
]
COLUMNS = [  # a generated invisible primary key comes first; numbers have no display width, but for tinyint(1)
    ("my_row_id", "bigint", "bigint unsigned", "NO", None, None, ""),
    ("id", "int", "int", "NO", None, None, ""),
    ("is_paid", "tinyint", "tinyint(1)", "YES", None, None, ""),
    ("year_of", "year", "year", "YES", None, None, ""),
    ("doc", "json", "json", "YES", None, None, ""),
    ("name", "varchar", "varchar(40)", "YES", "utf8mb4", "utf8mb4_0900_ai_ci", ""),
    ("old", "varchar", "varchar(40)", "YES", "utf8mb3", "utf8mb3_bin", ""),
    ("places", "geomcollection", "geomcollection", "YES", None, None, ""),
    ("near", "vector", "vector(4)", "YES", None, None, ""),
]
INDEXES = [  # an index over an expression has no column
    ("PRIMARY", 1, "my_row_id", 1),
    ("id", 1, "id", 1),
    ("lower_name", 1, None, 1),
    ("lower_name", 1, "id", 1),
]


class Answers:
    """A session with the rows that MySQL 8.4 has for these queries, by position: it writes the columns' names in upper case."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        self.asked.append(sql)
        if "information_schema.tables" in sql:
            return TABLES
        if "information_schema.columns" in sql:
            return [("shop", "orders", *column) for column in COLUMNS]
        if "information_schema.statistics" in sql:
            return [("shop", "orders", *index) for index in INDEXES]
        assert sql == "SELECT version()"
        return [("8.4.3",)]


def test_tables_are_described_as_mysql_8_spells_them() -> None:
    session: Any = Answers()
    orders, broken = read_datasets(Endpoint(endpoint_id="my", template="jdbc.mysql"), session, "1 = 1")
    assert (orders.name, orders.kind, orders.estimated_rows) == ("shop.orders", "table", 42)
    assert orders.primary_key == ("my_row_id",)
    assert orders.unique_keys == (("id",),)
    found = {column.name: (column.arrow, column.logical) for column in orders.columns}
    assert found["my_row_id"] == ("uint64", None)
    assert (found["id"][0], found["is_paid"][0], found["year_of"][0]) == ("int32", "int8", "int16")
    assert found["doc"] == ("string", "json")
    refused = [column.name for column in orders.columns if column.fidelity == "refused"]
    assert refused == ["places", "near"]
    assert "references invalid table" in str(broken)
    assert not any("check_constraints" in sql for sql in session.asked)  # in MySQL it has no table, and JSON is a type


def test_text_cursors_are_ordered_by_the_code_points_of_their_own_character_set() -> None:
    session: Any = Answers()
    orders, _ = read_datasets(Endpoint(endpoint_id="my", template="jdbc.mysql"), session, "1 = 1")
    by_name = {name: Mysql().axis_column(orders, name, is_cursor=True) for name in ("name", "old", "doc")}
    assert by_name["name"] is not None
    assert by_name["name"].collation == "utf8mb4_bin"
    assert by_name["old"] is not None
    assert by_name["old"].collation == ""
    assert by_name["doc"] is None
