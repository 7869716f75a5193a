"""A proxy that compresses bodies with br, though no request asks for it: a run fails at once and names the cause, whole bodies or not."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from ingest_ray.http.permits import LocalPermits, using
from ingest_ray.sdk.types import RunState
from ingest_ray.simulators.atlassian import simulate
from tests.strategies.test_loads import lake_of

SMALL: dict[str, Any] = {"issues": 60, "projects": 1, "pages": 60, "spaces": 1, "frozen": True}


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["cut-compressed=2"]], ids=["whole", "cut"])
@pytest.mark.parametrize(
    ("product", "mode"), [("jira", "cloud"), ("jira", "dc"), ("confluence", "cloud"), ("confluence", "dc")]
)
def test_a_run_that_gets_bodies_it_cannot_read_fails_at_once_and_lands_nothing(
    tmp_path: Path, product: Any, mode: Any, more: list[str]
) -> None:
    with simulate(product, mode, **SMALL) as sim, using(LocalPermits()):
        lake = lake_of(sim, tmp_path)
        lake.collect()
        sim.reset_stats()
        sim.add_traps("unasked-br", *more)
        summary = lake.run()
        requests = sim.stats()["requests"]
    assert summary.state is RunState.FAILED
    assert summary.error is not None
    assert summary.error.code == "E_SOURCE_PAGE_FAILED"
    assert "'br' was not asked for" in summary.error.message
    assert summary.rows.committed == 0
    assert requests < 40, "such an answer is not asked for again and again"


def test_the_trap_cuts_bodies_of_clients_that_did_not_ask_for_br() -> None:
    with simulate(issues=60, traps=["unasked-br", "cut-compressed=1"]) as sim:
        head = {"accept-encoding": "gzip"}
        with httpx.Client(
            base_url=sim.url, verify=False, auth=(sim.user, sim.token), trust_env=False, headers=head
        ) as client:
            with client.stream("GET", "/rest/api/3/field") as answer:
                body = b"".join(answer.iter_raw())
            assert answer.headers["content-encoding"] == "br"
            assert body[-1] != 3, "the end of the stream is missing"
