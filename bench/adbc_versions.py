"""What reading lineitem costs a client with each of several versions of ADBC's PostgreSQL driver, each in its own environment.

    python -m bench.adbc_versions --rows 2000000 --rounds 3 1.8.0 1.9.0 1.13.0

Numerics are asked for in their binary form, as our reader does. Says whether another version may be worth a change: DECISIONS.md.
"""

import argparse
import json
import shutil
import statistics
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc

from bench.database import start_postgres
from bench.lineitem import statements
from bench.measure import measured
from bench.side_by_side import Peer, environment

SELECT = "SELECT string_agg(CASE atttypid WHEN 'numeric'::regtype THEN format('numeric_send(%I)', attname) ELSE quote_ident(attname) END, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'lineitem'::regclass AND attnum > 0"  # fmt: skip


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("versions", nargs="*", default=["1.8.0", "1.13.0"])
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, default=Path("demo-home/adbc-versions"))
    given = options.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    pythons = {version: environment(driver(version), folder / version) for version in given.versions}
    shutil.rmtree(folder / "pg", ignore_errors=True)
    url = start_postgres(folder / "pg")
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements(given.rows):
            cursor.execute(statement)
        cursor.execute(SELECT)
        ((columns,),) = cursor.fetchall()
    found: dict[str, list[float]] = {version: [] for version, python in pythons.items() if python}
    script = str(Path("bench/peers/adbc_read.py").absolute())
    for number in range(given.rounds):
        for version in found if number % 2 == 0 else reversed(found):
            done = measured([str(pythons[version]), script, url, f"SELECT {columns} FROM lineitem"], folder)
            found[version].append(json.loads(done.out)["cpu_s"])
    print("| driver | CPU s of the client | from - to |\n|---|---|---|")
    for version, seconds in found.items():
        print(f"| {version} | {statistics.median(seconds):.2f} | {min(seconds):.2f} - {max(seconds):.2f} |")
    return 0


def driver(version: str) -> Peer:
    return Peer(f"driver {version}", "adbc_read.py", (f"adbc-driver-postgresql=={version}", "pyarrow==26.0.1"))


if __name__ == "__main__":
    raise SystemExit(main())
