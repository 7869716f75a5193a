"""A MariaDB that writes its log in rows, for the tests of changes."""

from collections.abc import Iterator

import pytest

from ingest_ray.testing.servers.mariadb import MariaDatabase, MariaServer, fresh_database, running_server
from tests.changes.binlog_world import LOG_OPTIONS


@pytest.fixture(scope="session")
def maria_log_server() -> Iterator[MariaServer]:
    with running_server(*LOG_OPTIONS) as running:
        yield running


@pytest.fixture
def maria_log(maria_log_server: MariaServer) -> MariaDatabase:
    return fresh_database(maria_log_server)
