"""Bytes of attachments: where the login goes and where not, and whose fault a refusal is."""

from pathlib import Path

import httpx
import pytest

from ingest_ray.sdk.types import RunState
from ingest_ray.simulators.atlassian import simulate
from tests.strategies.confluence.site import Lake, attached, endpoint_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_bytes_come_from_the_place_that_an_api_token_may_use(tmp_path: Path, mode: str) -> None:
    with simulate("confluence", mode, pages=120, spaces=1, frozen=True) as sim:  # type: ignore[arg-type]
        lake = Lake(tmp_path, endpoint_of(sim, objects_uri=str(tmp_path / "o")), unit="confluence.attachment")
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        truth = {file["id"]: file["sha256"] for _, file in attached(sim, "attachments")}
        assert {number: row["sha256"] for number, row in lake.rows().items()} == truth
        assert truth
        if mode == "cloud":
            statuses = sim.stats()["statuses"]
            assert statuses["302"] >= len(truth)
            assert "401" not in statuses
            assert "400" not in statuses, "the media host got the site's login"


def test_the_servlet_of_cloud_is_closed_to_api_tokens() -> None:
    with simulate("confluence", pages=60, spaces=1, frozen=True) as sim:
        page, file = next(iter(attached(sim, "attachments")))
        with httpx.Client(base_url=sim.url, verify=False, auth=(sim.user, sim.token), trust_env=False) as client:
            assert client.get(f"/wiki/download/attachments/{page['id']}/{file['title']}").status_code == 401


@pytest.mark.parametrize("trap", ["missing-scope", "denied-403", "login-page"])
@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_a_refusal_of_one_attachment_is_the_fault_of_that_one(tmp_path: Path, mode: str, trap: str) -> None:
    with simulate("confluence", mode, pages=120, spaces=1, frozen=True) as sim:  # type: ignore[arg-type]
        config = {"objects_uri": str(tmp_path / "o"), "requests_at_once": 1, "retry_wait_s": 0.001}
        lake = Lake(tmp_path, endpoint_of(sim, **config), unit="confluence.attachment")
        lake.collect()
        sim.add_traps(f"{trap}=burst:3:2@download")
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        rows = lake.rows()
        assert rows.keys() == {file["id"] for _, file in attached(sim, "attachments")}
        assert 1 <= sum(row["object_fault"] is not None for row in rows.values()) <= 2
