"""Mistakes and accidents around a real PostgreSQL, as a person meets them: a code, a way on, nothing half written."""

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from ingest_ray.testing.servers.postgres import Postgres
from tests.cli.in_process import InProcessCli

pytestmark = pytest.mark.services

HEAD = """\
ray: {{inline_below: 1073741824}}
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{url}", schemas: [public]}}}}
sinks:
  - {{id: lake, template: lake.delta, config: {{uri: ./lake}}}}
units:
"""


class Awkward:
    def __init__(self, folder: Path, pg: Postgres, cli: InProcessCli) -> None:
        self.folder, self.pg, self.cli = folder, pg, cli
        self.url = pg.url

    def rules(self, *rules: str) -> None:
        lines = "".join(f"  - {{endpoint: shop, sink: lake, enabled: true, {rule}}}\n" for rule in rules)
        (self.folder / "ingest.yaml").write_text(HEAD.format(url=self.url) + lines)
        self.cli.json("apply")
        self.cli.json("collect", "shop")

    def refused(self, unit: str, code: str, exit_code: int) -> str:
        """The message and hint of a run that has to fail; what is printed for people has them, too."""
        told = self.cli.json("run", "shop", unit, code=exit_code)["error"]
        assert told["code"] == code
        _, out, err = self.cli.run("run", "shop", unit)
        assert f"[{code}]" in out + err
        assert "Traceback" not in out + err
        return f"{told['message']} {told.get('hint') or ''}"

    def rows(self, unit: str) -> int:
        path = self.folder / "lake" / "shop" / unit
        return int(DeltaTable(str(path)).to_pyarrow_table().num_rows) if path.exists() else 0


@pytest.fixture
def awkward(tmp_path: Path, pg: Postgres, capfd: pytest.CaptureFixture[str]) -> Awkward:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v text, j jsonb, at timestamptz NOT NULL DEFAULT now())")
    pg.run("INSERT INTO t SELECT i, 'v' || i, '{}' FROM generate_series(1, 50) i")
    return Awkward(tmp_path, pg, InProcessCli(tmp_path, capfd))


@pytest.mark.parametrize(
    ("rule", "code", "told"),
    [
        ("run_mode: INCREMENTAL, policy: {cursor: nope}", "E_BAD_INPUT", "policy.cursor names column 'nope'"),
        ("run_mode: INCREMENTAL, policy: {cursor: j}", "E_INGESTION_MODE_UNSUPPORTED", "'j' of type 'jsonb' cannot be"),
        ("policy: {primary_key: [nix]}", "E_BAD_INPUT", "policy.primary_key names column 'nix'"),
        ("policy: {columns: [nix]}", "E_BAD_INPUT", "policy.columns names column 'nix'"),
    ],
)
def test_a_policy_that_the_table_does_not_have_is_refused_before_the_run(
    awkward: Awkward, rule: str, code: str, told: str
) -> None:
    awkward.rules(f"unit: public.t, {rule}")
    assert told in awkward.refused("public.t", code, 2)
    assert not (awkward.folder / "lake").exists()


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ('policy: {where: "nix = 1"}', "field 'where': shop: column \"nix\" does not exist"),
        ('policy: {where: "id = = 1"}', "check the policy's 'where'"),
        (
            "policy: {primary_key: [j], write: upsert, allow_lossy: true}",
            "field 'primary_key': j has 1 values that several rows share",
        ),
    ],
)
def test_a_policy_that_the_database_refuses_fails_the_run_and_writes_nothing(
    awkward: Awkward, rule: str, told: str
) -> None:
    awkward.rules(f"unit: public.t, {rule}")
    assert told in awkward.refused("public.t", "E_BAD_INPUT", 1)
    assert awkward.rows("public.t") == 0


def test_a_table_without_a_grant_fails_alone(awkward: Awkward) -> None:
    pg = awkward.pg
    pg.run("CREATE TABLE locked (id int PRIMARY KEY)")
    role = f"narrow_{pg.name}"
    pg.run(f"CREATE ROLE {role} LOGIN")
    pg.run(f"GRANT SELECT ON t TO {role}")
    awkward.url = pg.url_of(role)
    awkward.rules('unit: "public.*"')
    done = awkward.cli.json("run", "shop", code=1)
    states = {unit["unit_id"]: (unit["state"], unit["error"]) for unit in done["units"]}
    assert states["public.t"] == ("SUCCEEDED", None)
    state, error = states["public.locked"]
    assert (state, error["code"]) == ("FAILED", "E_SOURCE_DENIED")
    assert "permission denied for table locked" in error["message"]
    assert "GRANT SELECT" in error["hint"]
    assert awkward.rows("public.t") == 50
    pg.run(f"DROP OWNED BY {role}")
    pg.run(f"DROP ROLE {role}")


def test_a_number_that_is_text_is_no_version_of_a_row(awkward: Awkward) -> None:
    """As text 10 comes before 9: the newer row would lose."""
    awkward.pg.run("CREATE TABLE n (id numeric NOT NULL, v text PRIMARY KEY)")
    awkward.pg.run("INSERT INTO n VALUES (9, 'a')")
    awkward.rules("unit: public.n, run_mode: INCREMENTAL, policy: {cursor: id}")
    assert "'id' of type 'string' cannot be ordered" in awkward.refused("public.n", "E_SINK_WRITE_FAILED", 1)
    assert awkward.rows("public.n") == 0


def test_b17_b18_odd_tables_go_from_end_to_end(awkward: Awkward) -> None:
    odd: list[Any] = ["Order Lines", 'a "quoted" table', "select", "Größe.txt", "back\\slash", "50%"]
    for number, name in enumerate(odd):
        quoted = '"' + name.replace('"', '""') + '"'
        awkward.pg.run(f'CREATE TABLE {quoted} ("Group By" text COLLATE "C" PRIMARY KEY, "naïve ""q""" int)')
        awkward.pg.run(f"INSERT INTO {quoted} SELECT 'k' || i, i FROM generate_series(1, {number + 5}) i")
    awkward.rules('unit: "public.*"')
    done = awkward.cli.json("run", "shop")
    assert done["state"] == "SUCCEEDED"
    landed = {unit["unit_id"]: unit["rows"]["committed"] for unit in done["units"]}
    assert landed == {"public.t": 50} | {f"public.{name}": number + 5 for number, name in enumerate(odd)}
