"""A table of a thousand columns: SQLite's expressions may not be deeper than that."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ingest_ray.testing.dry_run import Rehearsal


def test_a_table_of_a_thousand_columns_arrives_whole(
    tmp_path: Path, lite_unit: Callable[[Path, str], Rehearsal]
) -> None:
    names = ["id", *(f"c{number}" for number in range(999))]
    rows = [[row, *range(row, row + 999)] for row in range(20)]
    with closing(sqlite3.connect(tmp_path / "wide.db")) as database:
        columns = ", ".join(f"{name} INTEGER" for name in names[1:])
        database.execute(f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {columns})")
        database.executemany(f"INSERT INTO wide VALUES ({', '.join(['?'] * 1000)})", rows)
        database.commit()
    rehearsal = lite_unit(tmp_path / "wide.db", "wide")
    rehearsal.run()
    landed = sorted([row[name] for name in names] for row in rehearsal.sink.values())
    assert landed == rows
