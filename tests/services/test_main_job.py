"""The main job, from the command line, against a real PostgreSQL."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from ingest_ray.testing.servers.postgres import Postgres
from tests.services.shop import Shop

pytestmark = pytest.mark.services
ORDERS = """
CREATE TABLE orders (id bigint PRIMARY KEY, total numeric(12, 2), note text, updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO orders SELECT i, i / 7.0, 'note ' || i, timestamptz '2025-01-01' + i * interval '1 minute' FROM generate_series(1, {rows}) i;
ANALYZE orders
"""


def make_orders(pg: Postgres, rows: int = 500) -> None:
    for statement in ORDERS.format(rows=rows).split(";\n"):
        pg.run(statement)


def test_a_load_is_equal_value_by_value_and_a_second_run_moves_nothing(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg)
    shop = Shop(tmp_path, pg).set_up()
    first = shop.run()
    assert first["state"] == "SUCCEEDED"
    assert first["rows"] == {"read": 500, "staged": 500, "committed": 500, "quarantined": 0, "deduplicated": 0}
    assert first["error"] is None
    assert first["target"].endswith("/lake/shop/public.orders")
    source = Counter((row[0], Decimal(row[1]), row[2]) for row in pg.run("SELECT id, total, note FROM orders"))
    assert shop.rows("public.orders", "id", "total", "note") == source
    assert {"_ingest_run_id", "_ingest_slice", "_ingest_at"} <= set(shop.lake().column_names)
    second = shop.run()
    assert second["state"] == "SUCCEEDED"
    assert second["rows"]["read"] == 0
    assert second["slices"]["planned"] == 0


def test_c21_a_transaction_open_across_two_runs_loses_and_doubles_nothing(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg, 10)
    shop = Shop(tmp_path, pg, policy="{cursor: updated_at, primary_key: [id], write: append}").set_up()
    slow = pg.connect()
    pg.run("INSERT INTO orders VALUES (1001, 1, 'slow', now())", slow)  # begins, and stays open
    pg.run("INSERT INTO orders VALUES (1002, 1, 'quick', now())")
    shop.run()
    pg.run("INSERT INTO orders VALUES (1003, 1, 'between', now())")
    shop.run()
    slow.commit()
    shop.run()
    pg.run("INSERT INTO orders VALUES (1004, 1, 'after', now())")
    shop.run()
    assert shop.rows() == Counter((key,) for key in [*range(1, 11), 1001, 1002, 1003, 1004])


def test_changed_rows_replace_their_older_versions(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg, 50)
    shop = Shop(tmp_path, pg).set_up()
    shop.run()
    pg.run("UPDATE orders SET note = 'changed', updated_at = now() WHERE id IN (3, 7)")
    pg.run("INSERT INTO orders VALUES (51, 0.01, 'new', now())")
    third = shop.run()
    assert third["rows"]["committed"] == 3
    notes = {row["id"]: row["note"] for row in shop.lake().to_pylist()}
    assert (notes[3], notes[7], notes[51], len(notes)) == ("changed", "changed", "new", 51)


def test_plan_shows_the_slices_that_run_reads(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg, 5000)
    policy = "{cursor: updated_at, primary_key: [id], target_slice_bytes: 65536}"
    shop = Shop(tmp_path, pg, policy=policy).set_up()
    plan = shop.json("plan", "shop", "public.orders")
    again = shop.json("plan", "shop", "public.orders")
    assert [piece["interval"] for piece in plan["slices"]] == [piece["interval"] for piece in again["slices"]]
    assert plan["slice_count"] > 2
    assert shop.run()["slices"]["planned"] == plan["slice_count"]
    assert shop.rows() == Counter((key,) for key in range(1, 5001))


def test_tables_without_a_key_are_replaced_through_tid_ranges(tmp_path: Path, pg: Postgres) -> None:
    pg.run("CREATE TABLE orders AS SELECT i AS id, repeat('x', 300) AS note FROM generate_series(1, 3000) i")
    pg.run("INSERT INTO orders SELECT * FROM orders WHERE id <= 5")
    shop = Shop(tmp_path, pg, run_mode="FULL", policy="{target_slice_bytes: 65536}").set_up()
    first = shop.run()
    assert first["slices"]["planned"] > 3
    expected = Counter((key,) for key in [*range(1, 3001), *range(1, 6)])
    assert shop.rows() == expected
    pg.run("DELETE FROM orders WHERE id > 2900")
    shop.run()
    assert shop.rows() == Counter({key: count for key, count in expected.items() if key[0] <= 2900})


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["run", "nowhere"], "E_ENDPOINT_NOT_FOUND", 2),
        (["run", "shop", "public.nothing"], "E_INGESTION_UNIT_NOT_FOUND", 2),
        (["plan", "shop", "public.nothing"], "E_INGESTION_UNIT_NOT_FOUND", 2),
        (["preview", "shop", "public.nothing"], "E_INGESTION_UNIT_NOT_FOUND", 2),
        (["frobnicate"], "E_BAD_INPUT", 2),
    ],
)
def test_a_mistake_is_named_and_exits_with_2(
    tmp_path: Path, pg: Postgres, arguments: list[str], code: str, exit_code: int
) -> None:
    make_orders(pg, 1)
    shop = Shop(tmp_path, pg).set_up()
    done = shop.call(*arguments)
    assert (done.returncode, f"[{code}]" in done.stderr) == (exit_code, True), done.stderr
    assert shop.json(*arguments)["error"]["code"] == code
    assert "Traceback" not in done.stderr


def test_a_dropped_table_is_a_failed_run_with_exit_code_1(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg, 1)
    shop = Shop(tmp_path, pg).set_up()
    pg.run("DROP TABLE orders")
    done = shop.call("run", "shop")
    assert done.returncode == 1
    assert "[E_SOURCE_CHANGED]" in done.stdout + done.stderr


def test_a_wrong_password_is_told_without_showing_it(tmp_path: Path, pg: Postgres) -> None:
    shop = Shop(tmp_path, pg)
    (tmp_path / "ingest.yaml").write_text(
        'endpoints:\n  - {id: shop, template: jdbc.postgres, config: {url: "postgresql://nobody:planted-pw@127.0.0.1:1/x"}}\n'
    )
    assert shop.call("apply").returncode == 0
    done = shop.call("collect", "shop")
    assert done.returncode != 0
    assert "[E_" in done.stderr
    everything = done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "ingest.yaml":
            everything += path.read_bytes().decode("latin-1")
    assert "planted-pw" not in everything
