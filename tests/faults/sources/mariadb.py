"""MariaDB: `orders`, written in transactions of different length; after a kill it restarts on the same files and port."""

import contextlib
from random import Random
from threading import Event
from typing import Any

import pymysql

from ingest_ray.testing.servers.mariadb import running_server
from tests.faults.lakes import Lake
from tests.faults.proxy import Proxy
from tests.faults.sources.orders_table import orders_in_lake, orders_rule, write_orders
from tests.faults.sources.source import Rows
from tests.faults.sources.writer import Writer

DATABASE = "shop"
CREATE = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, note text NOT NULL, amount decimal(12, 2), updated_at timestamp(6) NOT NULL, KEY (updated_at));
INSERT INTO orders SELECT seq, concat(md5(seq), md5(seq + 1)), seq / 7, now(6) FROM seq_1_to_{rows};
ANALYZE TABLE orders
"""
CHANGE = """
INSERT INTO orders SELECT seq, md5(concat(seq, rand())), rand() * 1000, now(6) FROM seq_%d_to_%d
ON DUPLICATE KEY UPDATE note = values(note), amount = values(amount), updated_at = values(updated_at)
"""
SELECT = "SELECT id, note, cast(amount AS char), cast(unix_timestamp(updated_at) * 1000000 AS signed) FROM orders"


class MariaSource:
    server = "MariaDB"
    endpoint = "shop"
    unit = f"{DATABASE}.orders"
    table = f"{endpoint}/{unit}"
    lookback_s = 0
    answer_delay_s = 0.03
    has_mappers = has_throttle = False

    def __init__(self, random: Random, rows: int) -> None:
        self._random, self._size = random, rows
        self._open = contextlib.ExitStack()
        self._mariadb = self._open.enter_context(running_server())
        self.proxy = Proxy(("127.0.0.1", self._mariadb.port), ("127.0.0.1", 0)).start()
        self.writer = Writer(self._write, (pymysql.Error, OSError))
        with contextlib.closing(self._mariadb.connect()) as connection:
            connection.cursor().execute(f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
        with contextlib.closing(self._connect()) as connection:
            for statement in CREATE.format(rows=rows).split(";\n"):
                connection.cursor().execute(statement)
            connection.commit()

    def endpoint_config(self) -> dict[str, Any]:
        return {"template": "jdbc.mysql", "config": {"url": f"mysql://root@127.0.0.1:{self.proxy.port}/{DATABASE}"}}

    def rules(self, write: str) -> list[dict[str, Any]]:
        return [orders_rule(self.unit, write)]

    def _connect(self) -> Any:
        connection = self._mariadb.connect(DATABASE)
        connection.autocommit(False)
        return connection

    def _write(self, is_ending: Event) -> None:
        with contextlib.closing(self._connect()) as connection:
            write_orders(connection, CHANGE, self._random, self._size, is_ending)

    def kill(self) -> None:
        self._mariadb._process.kill()
        self._mariadb._process.wait(10)

    def start(self) -> None:
        if self._mariadb._process.poll() is not None:
            self._mariadb.start()

    def rows(self) -> Rows:
        with contextlib.closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(SELECT)
            return Rows(cursor.fetchall())

    def lake_rows(self, lake: Lake, write: str) -> Rows:
        return orders_in_lake(lake.read(self.table), write)

    def close(self) -> None:
        self.proxy.close()
        self._open.close()
