"""The rules for Prometheus and the dashboard for Grafana are valid PromQL over series that `/metrics` has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ingest_ray.server.metrics import Metrics
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from tests.service.workspace import Workspace

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES_FILE = DEPLOY / "prometheus" / "ingest-ray.rules.yaml"
RULES = yaml.safe_load(RULES_FILE.read_text())
DASHBOARD = json.loads((DEPLOY / "grafana" / "ingest-ray.json").read_text())


def expressions() -> Iterator[str]:
    for group in RULES["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m").replace("$endpoint", ".*")


@pytest.mark.parametrize("expression", list(expressions()))
def test_every_expression_is_promql(expression: str) -> None:
    promql_parser.parse(expression)


def test_a_wrong_expression_would_be_found() -> None:
    with pytest.raises(ValueError):
        promql_parser.parse("sum(rate(x[5m])")


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", str(RULES_FILE)), ("test", "rules", str(Path(__file__).parent / "rules.test.yaml"))],
)
def test_prometheus_itself_reads_the_rules_and_fires_them_when_it_should(arguments: tuple[str, ...]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: as root, scripts/install-test-services does it")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_series_that_is_named_exists_with_the_labels_that_are_used(workspace: Workspace) -> None:
    workspace.document["units"][0] |= {"policy": {"fresh_within": "1h"}}
    workspace.apply()
    collect(workspace.installation, "shop")
    run(workspace.installation, "shop")
    metrics = Metrics(workspace.installation)
    metrics.observe_request("POST", "/graphql", 200, 0.1)
    families = list(text_string_to_metric_families(metrics.text().decode()))
    samples = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    named = {name for expression in expressions() for name in re.findall(r"\bingest_\w+", expression)}
    missing = (
        named - {"ingest_unit_newest_row_age_seconds", "ingest_unit_newest_row_timestamp_seconds"} - samples.keys()
    )
    assert missing == set()
    for name in named & samples.keys():
        if name.startswith("ingest_unit_"):
            assert {"endpoint", "unit", "sink"} <= samples[name]


def test_every_rule_has_what_a_person_needs_and_every_panel_a_place_of_its_own() -> None:
    rules = [rule for group in RULES["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 6
    assert all(rule["labels"]["severity"] in ("warning", "critical") for rule in rules)
    assert all(rule["annotations"]["summary"] for rule in rules)
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        covered = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not covered & cells, panel["title"]
        cells |= covered
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
