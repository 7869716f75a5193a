"""Any `ingest.yaml`, any URL, any filter: a `ConfigError` that names the position, or a configuration."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_ray.config import load_config
from ingest_ray.sdk.types import Dataset, Endpoint, Policy, RunMode, UnitConfig, UnitSpec
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.mysql.config import MysqlConfig
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.sqlite.config import SqliteConfig
from ingest_strategies.jira import http
from tests.fuzz.refusals import is_good, refusal
from tests.searches import examples

FUZZ = settings(
    max_examples=examples(short=120, long=300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
GOOD: dict[str, Any] = {
    "home": ".h",
    "state": "sqlite",
    "staging": {"provider": "files", "page_bytes": 100_000},
    "ray": {"num_cpus": 2},
    "endpoints": [
        {"id": "a", "template": "jdbc.sqlite", "config": {"path": "x.db"}},
        {"id": "j", "template": "jira.http", "config": {"base_url": "https://j", "api_token": "env:T"}},
    ],
    "sinks": [{"id": "l", "template": "lake.delta", "config": {"uri": "./lake"}}],
    "units": [
        {"endpoint": "a", "unit": "*", "sink": "l", "enabled": True, "policy": {"lookback": "5m", "max_attempts": 3}}
    ],
}
junk = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(), st.binary(max_size=8)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
printable = st.text(st.characters(codec="utf-8"), max_size=60)


def members(document: Any) -> list[tuple[Any, Any]]:
    listed = []
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(items):
        listed.append((document, key))
        if isinstance(value, dict | list):
            listed += members(value)
    return listed


def load(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert is_good(refusal(lambda: load_config(file)))


@pytest.mark.slow
@FUZZ
@given(data=st.data())
def test_a_file_with_one_wrong_thing_in_it_is_refused_with_its_place_or_read(
    data: st.DataObject, tmp_path: Path
) -> None:
    document = json.loads(json.dumps(GOOD))
    owner, key = data.draw(st.sampled_from(members(document)))
    if data.draw(st.booleans()) and isinstance(owner, dict):
        owner[data.draw(printable)] = owner.pop(key)
    else:
        owner[key] = data.draw(junk)
    load(tmp_path / "ingest.yaml", yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


@FUZZ
@given(content=st.binary(max_size=200) | printable.map(lambda text: text.encode()))
def test_a_file_of_any_bytes_is_refused_or_read(content: bytes, tmp_path: Path) -> None:
    load(tmp_path / "ingest.yaml", content)


@pytest.mark.slow
@pytest.mark.parametrize(
    "content", [b"[" * 5000, b"a: &a [*a]", b"a: " + b"{b: " * 3000, b"? [a]\n: b", b"!!python/name:os"]
)
def test_a_file_that_breaks_parsers_is_refused(content: bytes, tmp_path: Path) -> None:
    load(tmp_path / "ingest.yaml", content)


urls = st.one_of(
    printable,
    st.builds(
        "{}://{}".format,
        st.sampled_from(["jdbc:postgresql", "postgresql", "jdbc:mysql", "mysql", "sqlite", ""]),
        printable,
    ),
    st.builds(
        "jdbc:postgresql://{}:{}/{}?{}={}".format, printable, st.integers() | printable, printable, printable, printable
    ),
)


@FUZZ
@given(url=urls, model=st.sampled_from([PostgresConfig, MysqlConfig, SqliteConfig]))
def test_any_url_is_taken_apart_or_refused(url: str, model: Any) -> None:
    endpoint = Endpoint(endpoint_id="e", template="t", config={"url": url})
    assert is_good(refusal(lambda: parse_config(model, endpoint)))


@FUZZ
@given(
    filters=st.dictionaries(
        st.sampled_from(["jql", "projectKeys", "updatedFrom", "labels", "statuses"]) | printable,
        junk | printable,
        max_size=3,
    )
)
def test_any_filter_is_checked_or_refused_without_a_request(filters: dict[str, Any]) -> None:
    filters = json.loads(json.dumps(filters, default=str))
    endpoint = Endpoint(
        endpoint_id="j",
        template="jira.http",
        config={"base_url": "http://127.0.0.1:9", "auth_type": "pat", "api_token": "t"},
    )
    dataset = Dataset(endpoint_id="j", name="jira.issues", columns=())
    config = UnitConfig(
        endpoint_id="j",
        unit_id="jira.issues",
        sink_id="s",
        run_mode=RunMode.INCREMENTAL,
        policy=Policy(cursor="updated"),
        filters=filters,
    )
    spec = UnitSpec(endpoint=endpoint, dataset=dataset, config=config)
    assert is_good(refusal(lambda: http.check(spec)))
