"""Optional capabilities: a wrapper has exactly those of the source that it wraps."""

from typing import Any

import pytest
from pydantic import BaseModel

from ingest_ray.engine.readers.drifted_schema import DriftedSource
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.contracts import Backfill, KeyScan, QuickCheck, RowSource, capability, find_capability
from ingest_ray.sdk.errors import ModeUnsupported
from ingest_ray.sdk.simple_source import Dataset, Descriptor, Endpoint, SimpleSource

KINDS: tuple[Any, ...] = (Backfill, KeyScan, QuickCheck)
DATASET = Dataset(endpoint_id="e", name="d", columns=())


class Plain(SimpleSource):
    descriptor = Descriptor("my.plain", "STREAM", "Plain", "mine", BaseModel)

    def datasets(self, endpoint: Endpoint) -> list[Dataset]:
        return [DATASET]

    def rows(self, endpoint: Endpoint, dataset: Dataset) -> list[dict[str, Any]]:
        return []


def capabilities(source: RowSource) -> set[str]:
    return {kind.__name__ for kind in KINDS if find_capability(source, kind) is not None}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("jdbc.sqlite", {"Backfill", "KeyScan", "QuickCheck"}),
        ("jira.http", {"Backfill", "KeyScan"}),
        ("http.confluence", {"Backfill", "KeyScan"}),
    ],
)
def test_lazy_and_drifted_sources_have_the_capabilities_of_what_they_wrap(template: str, expected: set[str]) -> None:
    strategy = strategy_for(template)
    assert capabilities(strategy) == expected
    assert capabilities(DriftedSource(strategy, DATASET)) == expected


def test_a_wrapper_of_a_source_without_capabilities_has_none() -> None:
    drifted = DriftedSource(Plain(), DATASET)
    assert capabilities(Plain()) == capabilities(drifted) == set()
    for kind in KINDS:
        with pytest.raises(ModeUnsupported, match=r"template 'my\.plain' do not support") as caught:
            capability(drifted, kind)
        assert caught.value.code == "E_INGESTION_MODE_UNSUPPORTED"
