"""Damaged answers of a Jira: the run fails with a type, or nothing of it is missing; and the next one mends everything."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from ingest_ray.quarantine.rejected_rows import list_quarantine, read_rejected_rows
from ingest_ray.sdk.types import Dataset, RunState
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_strategies.jira import http
from tests.fuzz.corruption import Damage, damaging
from tests.fuzz.refusals import refusal
from tests.strategies.jira.site import Lake, assert_exact, endpoint_of, issues_of

pytestmark = pytest.mark.slow

SEEDS = range(12)


@pytest.fixture(scope="module", params=["cloud", "dc"])
def site(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    with simulate(mode=request.param, issues=60, projects=2, frozen=True) as sim:
        yield sim


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_answer_is_an_error_with_a_type_or_loses_nothing(site: Simulation, tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    damage = Damage(random, share=random.choice([0.1, 0.4]), left=random.choice([1, 1, 30]))
    lake = Lake(tmp_path, endpoint_of(site))
    lake.collect()
    with damaging(site.url.rstrip("/"), damage) as url:
        lake.endpoint = endpoint_of(site, base_url=url)
        summary = lake.run()
    if summary.state is not RunState.SUCCEEDED:
        assert summary.error is not None
        assert summary.error.code.startswith("E_"), damage.done
        assert "unexpected" not in summary.error.message, (summary.error, damage.done)
    else:
        rejected = {
            str(row.raw.get("id"))
            for entry in list_quarantine(f"{tmp_path}/quarantine")
            for row in read_rejected_rows(entry.uri)
        }
        known = set(lake.rows()) if summary.rows.committed else set()
        # What was rejected may not know its own id any more: so many ids may be missing, and no more.
        assert len(issues_of(site).keys() - known) <= max(len(rejected), summary.rows.quarantined), damage.done
    if damage.done and summary.state is RunState.SUCCEEDED:
        return  # a damaged payload is landed as it came: nobody can know
    lake.endpoint = endpoint_of(site)
    assert lake.run().state is RunState.SUCCEEDED
    assert_exact(lake, site)


@pytest.mark.parametrize("seed", SEEDS)
def test_collecting_from_damaged_answers_raises_only_what_has_a_type(site: Simulation, seed: int) -> None:
    damage = Damage(Random(seed), share=0.5, left=3)
    datasets: list[Dataset] = []
    with damaging(site.url.rstrip("/"), damage) as url:
        endpoint = endpoint_of(site, base_url=url)
        http.test(endpoint)
        error = refusal(lambda: datasets.extend(http.collect(endpoint)))
    assert datasets or (error is not None and error.message)
