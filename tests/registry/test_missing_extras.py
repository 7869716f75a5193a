"""Without an extra, the error names the package that is missing and the extra that has it, and the exit code is 2."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from pydantic import BaseModel

from ingest_ray.sdk.contracts import Descriptor
from ingest_ray.sdk.errors import StrategyMissing
from ingest_ray.sdk.missing_packages import EXTRAS, REQUIRED
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.lazy_strategy import LazyModule

SCRIPT = """
import contextlib, io, json, sys
from ingest_ray.sdk.missing_packages import EXTRAS
for package in EXTRAS:
    sys.modules[package] = None  # as if it were not installed
from ingest_ray.cli.main import run_command

found = {}
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(line.split())
    found[line.strip()] = [code, out.getvalue() + err.getvalue()]
print(json.dumps(found))
"""
PROJECT = """
home: {name}
{settings}
endpoints:
  - {{id: shop, template: jdbc.sqlite, config: {{path: shop.db}}}}
  - {{id: tracker, template: jira.http, config: {{base_url: "http://127.0.0.1:1", username: a, api_token: x}}}}
sinks:
  - {{id: out, template: sql, config: {{url: "sqlite:///out.db"}}}}
units:
  - {{endpoint: shop, unit: "*", sink: out, enabled: true, run_mode: FULL}}
"""
PROJECTS = {
    "plain": "ray: {address: local}",
    "redis": "kv: redis://127.0.0.1:1/0",
    "postgres": "state: postgresql://a@127.0.0.1:1/b",
    "joined": "ray: {address: 'ray://127.0.0.1:1'}",
    "local": "ray: {inline_below: 0}",
    "object-store": "staging: {provider: object-store}",
    "temporal": "launcher: temporal",
}
HINTS = {
    "copy shop.db --to ./lake --home h1": "delta",
    "copy shop.db --to postgresql://a@127.0.0.1:1/b --home h2": "postgres",
    "copy shop.db --to mysql://a@127.0.0.1:1/b --home h3": "mysql",
    "copy mysql://a@127.0.0.1:1/b --to sqlite:///x.db --home h4": "mysql",
    "copy postgresql://a@127.0.0.1:1/b --to sqlite:///x.db --home h5": "postgres",
    "copy oracle://a@127.0.0.1:1/b --to sqlite:///x.db --home h6": "oracle",
    "copy mssql://a@127.0.0.1:1/b --to sqlite:///x.db --home h7": "mssql",
    "simulate jira --issues 5": "simulate",
    "schema": "service",
    "serve -c plain.yaml": "service",
    "worker -c plain.yaml": "temporal",
    "temporal schedules -c plain.yaml": "temporal",
    "test tracker -c plain.yaml": "http",
    "run shop -c redis.yaml": "redis",
    "status -c redis.yaml": "redis",
    "validate redis.yaml": "redis",
    "apply postgres.yaml": "postgres",
    "validate postgres.yaml": "postgres",
    "run shop -c joined.yaml": "ray",
    "validate joined.yaml": "ray",
    "run shop -c local.yaml": "ray",
    "run shop -c object-store.yaml": "ray",
    "validate temporal.yaml": "temporal",
}


def test_a_strategy_names_its_extra() -> None:
    descriptor = Descriptor("my.db", "JDBC", "Mine", "mine", BaseModel)
    strategy = LazyModule(descriptor, "no_such_driver.dialect:strategy", extra="mine")
    with pytest.raises(StrategyMissing, match="needs a library that is not installed") as caught:
        strategy.list_units(Endpoint(endpoint_id="e", template="my.db"), ())
    assert caught.value.hint == "pip install 'ingest-ray[mine]'"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("project")
    with closing(sqlite3.connect(folder / "shop.db")) as shop, shop:
        shop.executescript("create table orders(id integer primary key); insert into orders values (1)")
    for name, settings in PROJECTS.items():
        (folder / f"{name}.yaml").write_text(PROJECT.format(name=f"home-{name}", settings=settings))
    prepare = [
        f"{verb} -c {name}.yaml" for name in PROJECTS if name != "postgres" for verb in ("apply", "collect shop")
    ]
    return _run(folder, [*prepare, *HINTS])


def _run(folder: Path, commands: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
        cwd=folder,
        input="\n".join(commands),
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("command", HINTS)
def test_every_command_names_the_extra(answers: dict[str, Any], command: str) -> None:
    code, text = answers[command]
    assert f"pip install 'ingest-ray[{HINTS[command]}]'" in text
    assert (code, "E_INTERNAL" in text, "defect" in text) == (2, False, False), text


def test_every_package_has_its_extra() -> None:
    """Of each requirement of an extra that people install, one imported name is known."""
    names: dict[str, set[str]] = {}
    for imported, distributions in packages_distributions().items():
        for each in distributions:
            names.setdefault(each.lower().replace("_", "-"), set()).add(imported)
    unknown = []
    for text in requires("ingest-ray") or ():
        requirement = Requirement(text)
        extra = str(requirement.marker).partition("extra == ")[2].strip("'\"")
        imported = names.get(requirement.name.lower().replace("_", "-"), set())
        known = REQUIRED if not extra else EXTRAS.keys()
        if extra in ("test", "dev", "all", "docs", "demo") or not imported:
            continue
        if not imported & known:
            unknown.append(text)
    assert unknown == []
