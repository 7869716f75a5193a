"""Measures `verify` of equal rows, PostgreSQL against Delta, beside what it is compared with: a count, and a scan of the key.

    python -m bench.verify --rows 10000000 [--with-values]

Makes a table in a server of its own, loads it into a lake, and prints one JSON document: seconds of `SELECT count(*)`, of one scan of
the key column into Arrow, of `verify`, and the ratio of verify to their sum.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adbc_driver_postgresql.dbapi as adbc

from bench.database import start_postgres
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.registry import strategy_for
from ingest_ray.run import VerifyOptions, launch, verify_unit
from ingest_ray.sdk.types import Endpoint, Policy, RunMode, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings

REPEATS = 3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--with-values", action="store_true")
    wanted = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-verify") as folder:
        url = start_postgres(Path(folder) / "postgres")
        with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (id bigint, at bigint NOT NULL, amount numeric(12, 2), note text)")
            cursor.execute(f"INSERT INTO t SELECT i, i, i / 7.0, md5(i::text) FROM generate_series(1, {wanted.rows}) i")
            cursor.execute("ALTER TABLE t ADD PRIMARY KEY (id)")
            cursor.execute("VACUUM ANALYZE t")
        order = order_of(Path(folder), url)
        loaded = seconds(lambda: launch([order], lambda progress: None, lambda: False), 1)
        print(json.dumps(measure(order, url, wanted.rows, wanted.with_values) | {"load_s": loaded}))


def measure(order: RunOrder, url: str, rows: int, with_values: bool) -> dict[str, Any]:
    def query(sql: str) -> Callable[[], Any]:
        def read() -> Any:
            with adbc.connect(url) as connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return sum(batch.num_rows for batch in cursor.fetch_record_batch())

        return read

    def verify() -> None:
        report = verify_unit(order, VerifyOptions(with_values=with_values))
        assert report.differences == 0, report
        assert report.rows_in_sink == rows, report

    count_s = seconds(query("SELECT count(*) FROM t"), REPEATS)
    scan_s = seconds(query("SELECT id FROM t"), REPEATS)
    verify_s = seconds(verify, REPEATS)
    ratio = verify_s / (count_s + scan_s)
    return {"rows": rows, "count_s": count_s, "scan_s": scan_s, "verify_s": verify_s, "ratio": round(ratio, 2)}


def seconds(action: Callable[[], Any], repeats: int) -> float:
    """Of the fastest of some repetitions."""
    found = []
    for _ in range(repeats):
        started = time.monotonic()
        action()
        found.append(time.monotonic() - started)
    return round(min(found), 2)


def order_of(folder: Path, url: str) -> RunOrder:
    endpoint = Endpoint(endpoint_id="shop", template="jdbc.postgres", config={"url": url})
    dataset = next(one for one in strategy_for("jdbc.postgres").collect(endpoint) if one.name == "public.t")
    config = UnitConfig(
        endpoint_id="shop",
        unit_id="public.t",
        sink_id="lake",
        enabled=True,
        run_mode=RunMode.INCREMENTAL,
        policy=Policy(cursor="at", primary_key=("id",)),
    )
    return RunOrder(
        run_id="bench",
        settings=Settings(
            home=str(folder / "home"), state_url=f"sqlite:///{folder}/state.db", ray=RaySettings(inline_below=2**50)
        ),
        spec=UnitSpec(endpoint=endpoint, dataset=dataset, config=config),
        sink=Endpoint(endpoint_id="lake", template="lake.delta", config={"uri": str(folder / "lake")}),
    )


if __name__ == "__main__":
    main()
