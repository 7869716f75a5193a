"""Without an extra, the error names the package that is missing and the extra that has it."""

import json
import subprocess
import sys

import pytest
from pydantic import BaseModel

from ingest_ray.sdk.contracts import Descriptor
from ingest_ray.sdk.errors import StrategyMissing
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.lazy_strategy import LazyModule

SCRIPT = """
import json, sys
for package in ("deltalake", "pymysql", "uvicorn"):
    sys.modules[package] = None  # as if it were not installed
from ingest_ray.cli.main import run_command
from ingest_ray.registry import open_sink
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint

found = []
for template, config in (("lake.delta", {"uri": "./lake"}), ("sql", {"url": "mysql://a@localhost/x"})):
    try:
        open_sink(Endpoint(endpoint_id="out", template=template, config=config))
    except ConfigError as error:
        found.append([error.message, error.hint])
print(json.dumps(found))
sys.exit(run_command(["simulate", "jira", "--issues", "5"]))
"""


def test_a_strategy_names_its_extra() -> None:
    descriptor = Descriptor("my.db", "JDBC", "Mine", "mine", BaseModel)
    strategy = LazyModule(descriptor, "no_such_driver.dialect:strategy", extra="mine")
    with pytest.raises(StrategyMissing, match="needs a library that is not installed") as caught:
        strategy.list_units(Endpoint(endpoint_id="e", template="my.db"), ())
    assert caught.value.hint == "pip install 'ingest-ray[mine]'"


def test_sinks_and_simulated_sites_name_their_extras() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=False, capture_output=True, text=True, timeout=200)
    assert json.loads(done.stdout) == [
        ["sink 'out' needs the Python package 'deltalake'", "pip install 'ingest-ray[delta]'"],
        ["sink 'out' needs the Python package 'pymysql'", "pip install 'ingest-ray[postgres,mysql]'"],
    ]
    assert (done.returncode, "not installed: uvicorn" in done.stderr, "ingest-ray[simulate]" in done.stderr) == (
        2,
        True,
        True,
    ), done.stderr
