"""A table of a real MariaDB whose changes are read from its binary log."""

from pathlib import Path
from typing import Any

from ingest_ray.sdk.types import RunMode
from ingest_ray.testing.servers.mariadb import MariaDatabase
from tests.verify.table_world import TableWorld, maria_world

LOG_OPTIONS = (
    "--log-bin=bin",
    "--binlog-format=ROW",
    "--binlog-row-image=FULL",
    "--binlog-row-metadata=FULL",
    "--server-id=1",
    "--log-slave-updates",
)


def binlog_world(folder: Path, database: MariaDatabase, unit: str = "t", **options: Any) -> TableWorld:
    return maria_world(folder, database, unit, **{"mode": RunMode.CHANGES, "policy": {}, **options})


def write(database: MariaDatabase, *statements: str) -> None:
    """In one session, each statement by itself."""
    with database.server.connect(database.name) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
