"""MariaDB into a Delta lake, from the command line."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from tests import forks
from tests.strategies.jdbc.maria import Maria

pytestmark = pytest.mark.services
ROWS = 3_000


def call(folder: Path, *arguments: str) -> dict[str, Any]:
    done = forks.run_module("ingest_ray.cli", *arguments, "--json", cwd=folder)
    assert len(done.stdout.splitlines()) == 1, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def set_up(folder: Path, database: Maria, mode: str, policy: str) -> None:
    (folder / "ingest.yaml").write_text(
        f"""\
endpoints:
  - {{id: shop, template: jdbc.mysql, config: {{url: "{database.url}"}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
  - {{endpoint: shop, unit: "*.orders", sink: lake, enabled: true, run_mode: {mode}, policy: {policy}}}
"""
    )
    assert call(folder, "apply")["changes"]
    call(folder, "collect", "shop")


def make_orders(database: Maria) -> None:
    database.run(
        "CREATE TABLE orders (id bigint unsigned PRIMARY KEY, total decimal(12, 2), note varchar(60),"
        " updated_at timestamp(6) NOT NULL, born datetime(6), KEY (updated_at))"
    )
    database.run(
        "INSERT INTO orders SELECT seq + 18446744073709540000, seq / 7, concat('note ', seq),"
        " '2025-01-01' + INTERVAL seq MINUTE, '0999-12-31 23:59:59.999999' + INTERVAL seq DAY"
        f" FROM seq_1_to_{ROWS}"
    )


def lake(folder: Path, database: Maria) -> Counter[tuple[Any, ...]]:
    table = DeltaTable(str(folder / "lake" / "shop" / f"{database.name}.orders")).to_pyarrow_table()
    rows = table.select(["id", "total", "note", "updated_at", "born"]).to_pylist()
    return Counter(
        (int(row["id"]), row["total"], row["note"], row["updated_at"].replace(tzinfo=None), row["born"]) for row in rows
    )


def source(database: Maria) -> Counter[tuple[Any, ...]]:
    return Counter(database.run("SELECT id, total, note, updated_at, born FROM orders"))  # type: ignore[arg-type]


def test_b9_a_full_load_by_key_is_equal_value_by_value(tmp_path: Path, maria: Maria) -> None:
    make_orders(maria)
    set_up(tmp_path, maria, "FULL", "{target_slice_bytes: 65536}")
    plan = call(tmp_path, "plan", "shop", f"{maria.name}.orders")
    assert plan["slice_count"] > 1
    done = call(tmp_path, "run", "shop")
    assert done["state"] == "SUCCEEDED", done
    assert done["rows"] == {"read": ROWS, "staged": ROWS, "committed": ROWS, "quarantined": 0, "deduplicated": 0}
    assert lake(tmp_path, maria) == source(maria)


def test_c29_increments_follow_a_first_load_and_a_second_run_moves_nothing(tmp_path: Path, maria: Maria) -> None:
    make_orders(maria)
    set_up(tmp_path, maria, "INCREMENTAL", "{cursor: updated_at, write: upsert}")
    assert call(tmp_path, "run", "shop")["rows"]["committed"] == ROWS
    assert call(tmp_path, "run", "shop")["rows"]["read"] == 0
    maria.run("UPDATE orders SET total = -1, updated_at = utc_timestamp(6) WHERE id % 10 = 0")
    maria.run("INSERT INTO orders VALUES (1, 1, 'new', utc_timestamp(6), NULL)")
    done = call(tmp_path, "run", "shop")
    assert done["rows"]["committed"] == ROWS // 10 + 1
    assert lake(tmp_path, maria) == source(maria)
