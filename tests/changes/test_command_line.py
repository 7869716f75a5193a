"""A table whose changes are read, from the command line: configured, planned, run, watched, dropped, loaded again."""

from pathlib import Path

import pytest

from ingest_ray.testing.servers.postgres import Postgres
from tests.changes.log_world import drop_slots, slots
from tests.services.shop import Shop
from tests.services.test_main_job import make_orders

pytestmark = pytest.mark.services


def test_changes_from_the_command_line(tmp_path: Path, pg: Postgres) -> None:
    make_orders(pg, 20)
    shop = Shop(tmp_path, pg, run_mode="CHANGES", policy="{max_retained_mb: 500}").set_up()
    try:
        planned = shop.json("plan", "shop", "public.orders")
        assert "which the first run makes" in planned["facts"]["slot"]
        assert slots(pg) == []
        assert shop.run()["rows"]["committed"] == 20
        pg.run("DELETE FROM orders WHERE id = 3; UPDATE orders SET note = 'changed' WHERE id = 4")
        log = shop.json("status", "shop", "public.orders")["units"][0]["log"]
        assert log["lag_bytes"] > 0
        assert "lag" in shop.call("changes", "status", "shop", "public.orders").stdout
        assert shop.run()["rows"]["committed"] == 2
        notes = {row["id"]: row["note"] for row in shop.lake().to_pylist()}
        assert (notes[4], 3 in notes) == ("changed", False)
        assert shop.json("verify", "shop", "public.orders")["state"] == "SUCCEEDED"
        assert len(shop.json("changes", "drop", "shop", "public.orders", "--yes")["dropped"]) == 2
        assert shop.run()["error"]["code"] == "E_LOG_GONE"
        shop.json("reset", "shop", "public.orders", "--yes")
        assert shop.run()["rows"]["committed"] == 19
    finally:
        drop_slots(pg)
