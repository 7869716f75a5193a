"""Readers of a site are threads of one actor on each node, which serves one run of a driver after another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.executors.ray import readers
from ingest_ray.executors.ray.cluster import may_read
from ingest_ray.executors.ray.reader import ReaderActor
from ingest_ray.run import launch
from ingest_ray.sdk.types import RunMode, RunState
from ingest_ray.settings import RaySettings
from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.strategies.confluence.site import Lake, assert_pages, endpoint_of

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


@pytest.fixture
def site() -> Iterator[Simulation]:
    with simulate("confluence", "cloud", pages=120, spaces=6, rate_limit=0) as simulation:
        yield simulation


def lake_of(folder: Path, site: Simulation) -> Lake:
    return Lake(folder, endpoint_of(site), inline_below=0, mode=RunMode.FULL)


def test_one_actor_reads_the_units_of_a_launch_one_after_the_other(
    tmp_path: Path, site: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    with_options = readers.reader_options

    def noted(kind: Any, *given: Any, **options: Any) -> Any:
        started.append(kind)
        return with_options(kind, *given, **options)

    monkeypatch.setattr(readers, "reader_options", noted)
    lake = lake_of(tmp_path, site)
    summaries = launch([lake.order(), lake.order()], lambda _: None, lambda: False)
    assert [(each.state, each.executor) for each in summaries] == [(RunState.SUCCEEDED, "ray")] * 2, summaries
    assert summaries[0].slices.committed > 1
    assert started == [ReaderActor]
    assert_pages(lake.rows(), site)


def test_slices_of_an_actor_that_dies_are_read_again(
    tmp_path: Path, site: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "killed"
    dying = {"env_vars": {"INGEST_FAILPOINT": "read:after-batch@1", "INGEST_FAILPOINT_ONCE": str(marker)}}
    with_options = readers.reader_options

    def dying_once(*given: Any, **options: Any) -> Any:
        return with_options(*given, **options, runtime_env=dying)

    monkeypatch.setattr(readers, "reader_options", dying_once)
    lake = lake_of(tmp_path, site)
    summary = lake.run()
    assert marker.exists(), "no reader was killed"
    assert (summary.state, summary.executor) == (RunState.SUCCEEDED, "ray"), summary.error
    assert_pages(lake.rows(), site)


@pytest.mark.parametrize(
    ("settings", "is_fit"),
    [
        ({}, True),
        ({"reader_labels": {"role": "reader"}}, True),
        ({"reader_labels": {"role": "sink"}}, False),
        ({"reader_labels": {"zone": "a"}}, False),
        ({"reader_labels": {"role": "!sink", "zone": "in(a, b)"}}, True),
        ({"reader_resources": {"link": 0.5}}, True),
        ({"reader_resources": {"link": 2}}, False),
    ],
)
def test_a_node_is_counted_where_labels_and_resources_let_a_reader_run(settings: dict[str, Any], is_fit: bool) -> None:
    node = {"Labels": {"role": "reader"}, "Resources": {"CPU": 1.0, "link": 1.0}}
    assert may_read(node, RaySettings(**settings)) is is_fit
