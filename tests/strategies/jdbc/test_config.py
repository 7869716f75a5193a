"""The configuration of an endpoint in all its forms, none of which shows a secret."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.postgres.connection import conninfo, fault_of
from ingest_strategies.jdbc.sessions.faults import without_secrets
from ingest_strategies.jdbc.sqlite.config import SqliteConfig, sqlite_path

SECRET = "s3cr3t/@:'\\ p%"
QUOTED = "s3cr3t%2F%40%3A%27%5C%20p%25"


def postgres(**config: Any) -> PostgresConfig:
    return parse_config(PostgresConfig, Endpoint(endpoint_id="shop", template="jdbc.postgres", config=config))


@pytest.mark.parametrize(
    "config",
    [
        {"url": f"postgresql://app:{QUOTED}@db.example:6543/shop?sslmode=require"},
        {"url": f"jdbc:postgresql://db.example:6543/shop?user=app&password={QUOTED}&sslmode=require"},
        {"url": f"postgresql+psycopg2://app:{QUOTED}@db.example:6543/shop", "sslmode": "require"},
        {"url": "postgres://app@db.example:6543/shop?sslmode=require", "password": SECRET},
        {
            "host": "db.example",
            "port": 6543,
            "database": "shop",
            "user": "app",
            "password": SECRET,
            "sslmode": "require",
        },
    ],
)
def test_one_database_in_five_spellings(config: dict[str, Any]) -> None:
    parsed = postgres(**config)
    assert (parsed.host, parsed.port, parsed.database, parsed.user, parsed.sslmode) == (
        "db.example",
        6543,
        "shop",
        "app",
        "require",
    )
    assert parsed.password is not None
    assert parsed.password.get_secret_value() == SECRET
    for text in (repr(parsed), str(parsed), parsed.model_dump_json()):
        assert SECRET not in text
        assert "s3cr3t" not in text
    assert r"password='s3cr3t/@:\'\\ p%'" in conninfo(parsed)


def test_a_socket_folder_and_schemas_can_be_in_the_url() -> None:
    parsed = postgres(url="postgresql://app@/shop?host=/var/run/pg&currentSchema=a,b&connect_timeout=3")
    assert (parsed.host, parsed.schemas, parsed.connect_timeout_s) == ("/var/run/pg", ("a", "b"), 3.0)
    assert postgres(url="postgresql://[::1]:5433/x").host == "::1"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"url": f"mysql://app:{QUOTED}@db/shop"}, "url"),
        ({"url": f"postgresql://app:{QUOTED}@db:port/shop"}, "url"),
        ({"url": f"postgresql://app:{QUOTED}@db/shop?nonsense=1"}, "url"),
        ({"port": 70000, "password": SECRET}, "port"),
        ({"sslmode": "maybe", "password": SECRET}, "sslmode"),
        ({"passwort": SECRET}, "passwort"),
        ({"password": 5}, "password"),
    ],
)
def test_a_mistake_names_its_field_and_shows_no_value(config: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=f"field '{field}'") as caught:
        postgres(**config)
    assert "s3cr3t" not in repr(caught.value)
    assert "s3cr3t" not in str(caught.value.__cause__) + str(caught.value.__context__)


@pytest.mark.parametrize(
    "message",
    [
        f"connection to postgresql://app:{QUOTED}@db/shop failed",
        f"connection to postgresql://app:{SECRET}@db/shop failed",
        f"host=db password='{SECRET}' user=app",
        "host=db password=unquoted-other user=app",
    ],
)
def test_messages_of_drivers_lose_their_secrets(message: str) -> None:
    cleaned = without_secrets(message, (SECRET,))
    assert "s3cr3t" not in cleaned
    assert "unquoted-other" not in cleaned
    assert "***" in cleaned


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///x.db", "x.db"),
        ("sqlite:////tmp/x.db", "/tmp/x.db"),
        ("sqlite+pysqlite:///a/x.db", "a/x.db"),
        ("jdbc:sqlite:x.db", "x.db"),
        ("jdbc:sqlite:/tmp/a%20b.db", "/tmp/a b.db"),
        ("jdbc:sqlite:file:x.db?mode=ro", "x.db"),
        ("plain/x.db", "plain/x.db"),
    ],
)
def test_a_sqlite_file_in_every_spelling(url: str, path: str) -> None:
    assert sqlite_path(url) == path
    endpoint = Endpoint(endpoint_id="e", template="jdbc.sqlite", config={"url": url})
    assert parse_config(SqliteConfig, endpoint).path == path


@pytest.mark.parametrize(
    "config", [{}, {"path": "a", "url": "sqlite:///b"}, {"path": ":memory:"}, {"url": "sqlite://"}]
)
def test_a_sqlite_endpoint_needs_one_file(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="path"):
        parse_config(SqliteConfig, Endpoint(endpoint_id="e", template="jdbc.sqlite", config=config))


def test_a_missing_file_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    strategy = strategy_for("jdbc.sqlite")
    endpoint = Endpoint(endpoint_id="e", template="jdbc.sqlite", config={"path": str(path)})
    with pytest.raises(ConfigError, match="there is no file"):
        list(strategy.collect(endpoint))
    report = strategy.test(endpoint)
    assert not report.ok
    assert "there is no file" in report.diagnostics[0].message
    assert not path.exists()


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is no database, " * 100)
    report = strategy_for("jdbc.sqlite").test(
        Endpoint(endpoint_id="e", template="jdbc.sqlite", config={"path": str(path)})
    )
    assert not report.ok
    assert "not a database" in report.diagnostics[0].message


def test_a_descriptor_is_known_without_its_driver() -> None:
    code = (
        "import sys, ingest_strategies.jdbc.templates as j; print(j.postgres.descriptor.template, j.sqlite.descriptor.template,"
        " [name for name in sys.modules if name.startswith(('adbc', 'ingest_strategies.jdbc.postgres', 'duckdb', 'ray'))"
        " and not name.endswith(('.postgres', '.postgres.config'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "jdbc.postgres jdbc.sqlite []"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "UNAUTHORIZED: [libpq] Failed to execute query: could not begin COPY: ERROR: permission denied for table t",
            "e: permission denied for table t",
        ),
        (
            'INVALID_ARGUMENT: Failed to prepare query: ERROR: syntax error at or near "=" LINE 1: SELECT 1 WHERE = ^',
            'e: syntax error at or near "="',
        ),
        (
            'IO: [libpq] Failed to connect: connection to server at "h" failed: FATAL: role "x" does not exist',
            'e: connection to server at "h" failed: FATAL: role "x" does not exist',
        ),
    ],
)
def test_the_drivers_words_around_the_servers_message_are_left_out(message: str, expected: str) -> None:
    assert fault_of("e", message, "42501").message == expected


def test_a_socket_folder_can_stand_for_the_host_of_a_url() -> None:
    parsed = postgres(url="postgresql://u@%2FSocket%2Fdir/db")
    assert (parsed.host, parsed.user, parsed.database) == ("/Socket/dir", "u", "db")
    assert "host='/Socket/dir'" in conninfo(parsed)


def test_several_hosts_in_a_url_are_all_given_to_the_driver() -> None:
    parsed = postgres(url="postgresql://u:p@a:5433,b,[::1]:6000/db?target_session_attrs=primary")
    assert "host='a,b,::1' port='5433,5432,6000' target_session_attrs='primary'" in conninfo(parsed)
    assert "host='a,b' port='6432,6432'" in conninfo(postgres(host="a,b", port=6432))
    with pytest.raises(ConfigError, match="a port is a number"):
        postgres(host="a:x,b")


@pytest.mark.parametrize(
    "password", ["pa#s3cr3t", "pa/s3cr3t", "pa?s3cr3t", "#s3cr3t", "1/s3cr3t", "[s3cr3t", "12#s3cr3t@x"]
)
def test_a_password_that_has_to_be_quoted_is_told_so(password: str) -> None:
    with pytest.raises(ConfigError, match="'#' is written %23") as caught:
        postgres(url=f"postgresql://app:{password}@db/shop")
    assert "s3cr3t" not in str(caught.value)
