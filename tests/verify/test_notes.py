"""A comparison tells why rows may be missing on both sides, or gone only for the login that reads."""

from pathlib import Path
from typing import Any

import pytest

from ingest_ray.run import reconcile_unit
from ingest_ray.sdk.types import Endpoint, RunState
from ingest_ray.testing.servers.postgres import Postgres
from tests.verify.table_world import TableWorld

pytestmark = pytest.mark.services


@pytest.fixture
def role(pg: Postgres) -> str:
    name = f"reads_{pg.name}"
    pg.run("CREATE TABLE orders (id int PRIMARY KEY, at int, owner text)")
    pg.run(
        f"INSERT INTO orders SELECT i, i, CASE WHEN i <= 10 THEN '{name}' ELSE 'other' END FROM generate_series(1, 100) i"
    )
    pg.run(f"CREATE ROLE {name} LOGIN")
    pg.run(f"GRANT SELECT ON orders TO {name}")
    return name


@pytest.mark.parametrize("policy", [{"cursor": "at"}, {"cursor": "at", "mask": {"owner": "redact"}}])
def test_row_security_is_told_by_verify_and_reconcile(
    tmp_path: Path, pg: Postgres, role: str, policy: dict[str, Any]
) -> None:
    endpoint = Endpoint(endpoint_id="shop", template="jdbc.postgres", config={"url": pg.url_of(role)})
    world = TableWorld(tmp_path, endpoint, "public.orders", pg.run, policy=policy)
    world.run()
    assert world.verify().notes == ()
    pg.run("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    pg.run("CREATE POLICY own ON orders FOR SELECT USING (owner = current_user)")
    told = f"row security policies of public.orders apply to role '{role}': rows that they hide are not read"
    for options in ({}, {"with_values": True}):
        report = world.verify(**options)
        assert report.notes == (told,)
        assert report.surplus > 80
    found = reconcile_unit(world.order(), allow_all=False)
    assert found.state is RunState.FAILED  # more deletes than the policy allows
    assert found.error is not None
    assert told in str(found.error.hint)
    world.policy = {**policy, "max_delete_fraction": 1.0}
    assert reconcile_unit(world.order(), allow_all=True).notes == (told,)
