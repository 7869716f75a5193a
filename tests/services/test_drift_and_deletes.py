"""Schema drift, backfill and deletes, from the command line, against a real PostgreSQL."""

from pathlib import Path

import pytest

from ingest_ray.testing.servers.postgres import Postgres
from tests.services.shop import Shop
from tests.services.test_main_job import make_orders

pytestmark = pytest.mark.services


def test_c68_added_widened_and_dropped_columns_are_followed(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg, 20)
    pg.run("ALTER TABLE orders ADD COLUMN small smallint DEFAULT 7")
    shop = Shop(tmp_path, pg).set_up()
    shop.run()
    pg.run("ALTER TABLE orders ADD COLUMN extra text, DROP COLUMN note, ALTER COLUMN small TYPE bigint")
    pg.run("INSERT INTO orders (id, total, updated_at, small, extra) VALUES (21, 1, now(), 5000000000, 'new')")
    second = shop.run()
    assert second["state"] == "SUCCEEDED", second["error"]
    rows = {row["id"]: row for row in shop.lake().to_pylist()}
    assert (rows[21]["extra"], rows[21]["note"], rows[21]["small"]) == ("new", None, 5_000_000_000)
    assert (rows[1]["extra"], rows[1]["note"], rows[1]["small"]) == (None, "note 1", 7)


def test_c69_freeze_refuses_any_change_and_names_it(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg, 5)
    policy = "{cursor: updated_at, primary_key: [id], on_schema_change: freeze}"
    shop = Shop(tmp_path, pg, policy=policy).set_up()
    shop.run()
    pg.run("ALTER TABLE orders ADD COLUMN extra text")
    refused = shop.run()
    assert refused["error"]["code"] == "E_SOURCE_CHANGED"
    assert "extra" in refused["error"]["message"]


def test_c28_a_backfill_from_the_command_line_moves_no_watermark(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg, 100)
    shop = Shop(tmp_path, pg).set_up()
    before = shop.run()["watermarks"]
    pg.run("UPDATE orders SET note = 'mended without a new time' WHERE id = 10")
    window = ("--from", "2025-01-01T00:05:00Z", "--to", "2025-01-01T00:15:00Z")
    done = shop.json("run", "shop", "public.orders", *window)
    assert done["state"] == "SUCCEEDED", done
    assert done["rows"]["read"] == 10
    assert done["watermarks"] == before
    assert {row["id"]: row["note"] for row in shop.lake().to_pylist()}[10] == "mended without a new time"
    wrong = shop.call("run", "shop", "public.orders", "--from", "yesterday-ish")
    assert "[E_BAD_INPUT]" in wrong.stdout + wrong.stderr


def test_deleted_rows_become_tombstones_and_a_mass_delete_needs_consent(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg, 100)
    shop = Shop(tmp_path, pg).set_up()
    shop.run()
    pg.run("DELETE FROM orders WHERE id <= 3")
    shop.json("run", "shop", "public.orders", "--reconcile")
    gone = {row["id"] for row in shop.lake().to_pylist() if row["_deleted_at"] is not None}
    assert gone == {1, 2, 3}
    pg.run("DELETE FROM orders WHERE id <= 60")
    refused = shop.call("run", "shop", "public.orders", "--reconcile")
    assert refused.returncode == 1
    assert "[E_DELETES_REFUSED]" in refused.stdout + refused.stderr
    shop.json("run", "shop", "public.orders", "--reconcile", "--allow-deletes")
    assert sum(row["_deleted_at"] is not None for row in shop.lake().to_pylist()) == 60
