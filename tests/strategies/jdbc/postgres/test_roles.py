"""What a role brings with it: a search path of its own, row security policies, settings."""

from typing import Any

import pytest

from ingest_ray.sdk.types import Dataset, Endpoint, Policy, RunMode, UnitConfig, UnitSpec
from ingest_ray.sdk.types.dataset import CAUTION
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.templates import postgres

pytestmark = pytest.mark.services


@pytest.fixture
def app(pg: Postgres) -> Postgres:
    """A role `app_...` with a schema of its own in its search path; it may read 10 of 100 orders."""
    pg.run("CREATE SCHEMA app")
    pg.run("CREATE TABLE app.base (id int PRIMARY KEY, owner text, note text)")
    pg.run(
        f"INSERT INTO app.base SELECT i, CASE WHEN i <= 10 THEN '{role(pg)}' ELSE 'other' END, 'n' FROM generate_series(1, 100) i"
    )
    pg.run(
        "CREATE FUNCTION app.notes() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM pg_catalog.pg_class'"
    )
    pg.run(f"CREATE ROLE {role(pg)} LOGIN")
    pg.run(f"ALTER ROLE {role(pg)} SET search_path = app")
    pg.run(f"GRANT USAGE ON SCHEMA app TO {role(pg)}")
    pg.run(f"GRANT SELECT ON app.base TO {role(pg)}")
    return pg


def role(pg: Postgres) -> str:
    return f"app_{pg.name}"


def endpoint(pg: Postgres) -> Endpoint:
    return Endpoint(
        endpoint_id="shop", template="jdbc.postgres", config={"url": pg.url_of(role(pg)), "schemas": ["app"]}
    )


def datasets(pg: Postgres) -> dict[str, Dataset]:
    return {dataset.name: dataset for dataset in postgres.collect(endpoint(pg))}


def unit(pg: Postgres, name: str, **policy: Any) -> Rehearsal:
    mode = RunMode.INCREMENTAL if "cursor" in policy else RunMode.FULL
    config = UnitConfig(endpoint_id="shop", unit_id=name, sink_id="s", run_mode=mode, policy=Policy(**policy))
    return Rehearsal(postgres, UnitSpec(endpoint=endpoint(pg), dataset=datasets(pg)[name], config=config))


@pytest.fixture
def view(app: Postgres) -> str:
    app.run("SET search_path = app")
    app.run(
        "CREATE FUNCTION app.others(int) RETURNS bigint LANGUAGE plpgsql STABLE AS"
        " 'BEGIN RETURN (SELECT count(*) FROM base WHERE id < $1); END'"
    )
    app.run("CREATE VIEW app.ranked AS SELECT id, note, app.others(id) AS below FROM app.base")
    app.run(f"GRANT SELECT ON app.ranked TO {role(app)}")
    return "app.ranked"


@pytest.mark.parametrize(
    "policy", [{}, {"cursor": "id"}, {"where": "others(id) > 1"}], ids=["full", "incremental", "where"]
)
def test_a_view_whose_functions_use_the_search_path_of_the_role_is_read(
    app: Postgres, view: str, policy: dict[str, Any]
) -> None:
    expected = {"": list(range(100)), "where": list(range(2, 100)), "cursor": list(range(99))}  # ties wait
    rows = unit(app, view, **policy).run().rows
    assert sorted(row["below"] for row in rows) == expected[next(iter(policy), "")]
    assert postgres.preview(endpoint(app), datasets(app)[view], 3).num_rows == 3
    keys = unit(app, view, primary_key=("id",))
    assert sum(batch.num_rows for batch in postgres.scan_keys(keys.spec)) == 100


def test_types_outside_of_the_system_are_named_with_their_schema(app: Postgres) -> None:
    app.run("CREATE TYPE app.color AS ENUM ('red', 'green')")
    app.run("CREATE TABLE app.things (id int PRIMARY KEY, color app.color)")
    app.run("INSERT INTO app.things VALUES (1, 'green'), (2, 'red')")
    app.run(f"GRANT SELECT ON app.things TO {role(app)}")
    assert [column.source_type for column in datasets(app)["app.things"].columns] == ["integer", "app.color"]
    assert [row["color"] for row in unit(app, "app.things").run().rows] == ["green", "red"]


def test_names_that_the_server_quotes_do_not_change_a_type(app: Postgres) -> None:
    plain = datasets(app)["app.base"]
    app.run(f"ALTER ROLE {role(app)} SET quote_all_identifiers = on")
    quoted = datasets(app)["app.base"]
    assert [column.source_type for column in quoted.columns] == [column.source_type for column in plain.columns]
    assert len(unit(app, "app.base").run().rows) == 100


POLICY = "CREATE POLICY own ON app.base USING (owner = current_user)"
POLICY_OF_A_FUNCTION = "CREATE POLICY own ON app.base USING (app.may_see(id))"
MAY_SEE = """CREATE FUNCTION app.may_see(int) RETURNS bool LANGUAGE plpgsql STABLE AS
 'BEGIN RETURN $1 IN (SELECT id FROM readers); END'"""


@pytest.mark.parametrize("policy", [POLICY, POLICY_OF_A_FUNCTION])
def test_row_security_is_told_by_collect_and_plan(app: Postgres, policy: str, caplog: pytest.LogCaptureFixture) -> None:
    app.run("CREATE TABLE app.readers (id int)")
    app.run("INSERT INTO app.readers SELECT generate_series(1, 10)")
    app.run(f"GRANT SELECT ON app.readers TO {role(app)}")
    app.run(MAY_SEE)
    app.run("ALTER TABLE app.base ENABLE ROW LEVEL SECURITY")
    app.run(policy)
    found = datasets(app)
    told = f"row security policies of app.base apply to role '{role(app)}': rows that they hide are not read"
    assert {name: dataset.facts.get(CAUTION) for name, dataset in found.items()} == {
        "app.base": told,
        "app.readers": None,
    }
    outcome = unit(app, "app.base").run()
    assert len(outcome.rows) == 10
    assert outcome.probe is not None
    assert outcome.probe.facts["row_security"] == told


def test_policies_below_a_view_are_told(app: Postgres) -> None:
    app.run("ALTER TABLE app.base ENABLE ROW LEVEL SECURITY")
    app.run(POLICY)
    app.run("CREATE VIEW app.mine WITH (security_invoker = true) AS SELECT id FROM app.base")
    app.run("CREATE VIEW app.all AS SELECT id FROM app.base")
    app.run(f"GRANT SELECT ON app.mine, app.all TO {role(app)}")
    cautions = {name: CAUTION in dataset.facts for name, dataset in datasets(app).items()}
    assert cautions == {"app.base": True, "app.mine": True, "app.all": False}


def test_policies_are_no_matter_to_a_role_that_they_do_not_apply_to(app: Postgres) -> None:
    app.run("ALTER TABLE app.base ENABLE ROW LEVEL SECURITY")
    app.run(POLICY)
    app.run(f"ALTER ROLE {role(app)} BYPASSRLS")
    assert CAUTION not in datasets(app)["app.base"].facts
    outcome = unit(app, "app.base").run()
    assert len(outcome.rows) == 100
    assert outcome.probe is not None
    assert "row_security" not in outcome.probe.facts
