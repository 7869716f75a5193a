"""A database of the session's MariaDB as a source: sessions with transactions, users, and a URL over the Unix socket."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.types import Endpoint, Learned, Policy, RunMode, UnitConfig, UnitSpec
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.mariadb import MariaDatabase

SMALL = 64 * 1024


class Maria:
    """`run` writes in autocommit mode, one statement sent as it is; `connect` opens a session with transactions."""

    def __init__(self, database: MariaDatabase, *, is_replica: bool = False) -> None:
        self.name = database.name
        self._socket = str(database.server.socket)
        self._open: list[Any] = []
        self._writer = self.connect(autocommit=True)
        if not is_replica:
            self.run(f"ALTER DATABASE `{self.name}` CHARACTER SET utf8mb4")

    @property
    def url(self) -> str:
        return self.url_of("root")

    def url_of(self, user: str) -> str:
        return f"mariadb://{user}@localhost/{self.name}?unix_socket={self._socket}"

    def connect(self, user: str = "root", *, autocommit: bool = False) -> Any:
        import pymysql

        connection = pymysql.connect(
            unix_socket=self._socket,
            user=user,
            database=self.name,
            charset="utf8mb4",
            autocommit=autocommit,
            ssl_disabled=True,
        )
        self._open.append(connection)
        return connection

    def run(self, sql: str, connection: Any = None) -> list[Sequence[Any]]:
        with (connection or self._writer).cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def unit(self, table: str, rows_per_slice: int = 10, user: str = "root", **policy: Any) -> Rehearsal:
        """Incremental where a cursor is given."""
        endpoint = Endpoint(endpoint_id="my", template="jdbc.mysql", config={"url": self.url_of(user)})
        strategy = strategy_for("jdbc.mysql")
        name = f"{self.name}.{table}"
        config = UnitConfig(
            endpoint_id="my",
            unit_id=name,
            sink_id="s",
            run_mode=RunMode.INCREMENTAL if policy.get("cursor") else RunMode.FULL,
            policy=Policy(target_slice_bytes=SMALL, **policy),
        )
        dataset = next(dataset for dataset in strategy.collect(endpoint) if dataset.name == name)
        learned = Learned(bytes_per_row=SMALL / rows_per_slice)
        return Rehearsal(strategy, UnitSpec(endpoint=endpoint, dataset=dataset, config=config, learned=learned))

    def close(self) -> None:
        for connection in self._open:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    connection.close()
                except Exception:  # a test may have ended the session from the other side
                    continue


@pytest.fixture
def maria(mariadb: MariaDatabase) -> Iterator[Maria]:
    database = Maria(mariadb)
    yield database
    database.close()
