"""The table of orders in each database: (id, note, amount, time of change in microseconds)."""

import contextlib
import shutil
from pathlib import Path
from random import Random
from threading import Event
from time import sleep
from typing import Any

from deltalake import DeltaTable
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from tests.faults.sources.source import Rows

SIZES = (1, 5, 5, 5, 5, 5, 5, 200)  # of transactions, in rows
POLICY = {"cursor": "updated_at", "write": "upsert", "target_slice_bytes": 65536}


def orders_rule(unit: str) -> dict[str, Any]:
    return {"unit": unit, "run_mode": "INCREMENTAL", "policy": POLICY}


def orders_in_lake(path: Path) -> Rows:
    """`path`: `<lake>/<endpoint>/<unit>`."""
    lake = path.parent.parent
    table = iceberg_table(path).scan().to_arrow() if is_iceberg(lake) else DeltaTable(str(path)).to_pyarrow_table()
    columns = [table["id"], table["note"], table["amount"], table["updated_at"].cast("int64")]
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return Rows((key, note, str(amount), at) for key, note, amount, at in rows)


def is_iceberg(lake: Path) -> bool:
    return (lake / "catalog.db").exists()


def iceberg_table(path: Path) -> Table:
    lake = path.parent.parent
    return SqlCatalog("ingest", uri=f"sqlite:///{lake}/catalog.db").load_table(_iceberg_name(path))


def drop_table(path: Path) -> None:
    """Removes the table of a unit, where there is one."""
    lake = path.parent.parent
    if is_iceberg(lake):
        with contextlib.suppress(NoSuchTableError):
            SqlCatalog("ingest", uri=f"sqlite:///{lake}/catalog.db").drop_table(_iceberg_name(path))
        path = lake.joinpath(*_iceberg_name(path))
    shutil.rmtree(path, ignore_errors=True)


def _iceberg_name(path: Path) -> tuple[str, str]:
    return path.parent.name, path.name.replace(".", "_")


def write_orders(connection: Any, change: str, random: Random, rows: int, is_ending: Event) -> None:
    """Inserts and updates in transactions of different length. `change` has two placeholders: first and last id.

    A round changes few rows, because a second change of a row hides that the first one was lost.
    """
    cursor = connection.cursor()
    while not is_ending.is_set():
        first = random.randrange(1, rows + 200)
        cursor.execute(change % (first, first + random.randrange(random.choice(SIZES))))
        sleep(random.choice([0.0, 0.01, 0.3]))  # the cursor's value is older than the commit
        connection.commit()
        sleep(0.02)
