"""Simulated sites take as many requests at once as they can answer: at the first rates of real sites, tests of readers would mostly wait.

What limits are taken for and how a refusal is waited out is tested in `tests/http` and `tests/state`, and by tests that choose their permits.
"""

from collections.abc import Iterator

import pytest

from ingest_ray.http import permits
from ingest_ray.http.grants import Bounds
from ingest_ray.state import shared_site

FOLDERS = ("tests/strategies/", "tests/verify/", "tests/fuzz/")
QUICK = Bounds(first_rate=5_000.0, most_rate=5_000.0, unknown_concurrency=12, first_pause_s=0.05, most_pause_s=0.5)


@pytest.fixture(scope="module", autouse=True)
def quick_sites(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sets the bounds of the permits that a process and an installation have where a test of `FOLDERS` chooses none."""
    if not request.node.nodeid.startswith(FOLDERS):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permits, "_of_this_process", quick := permits.LocalPermits(QUICK))
        patch.setattr(shared_site, "Bounds", lambda: QUICK)
        with permits.using(quick):
            yield
