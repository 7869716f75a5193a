"""CDM mode on a real Ray: mapper actors do what is done inline."""

from collections import Counter
from pathlib import Path

import pytest

from ingest_ray.sdk.types import RunState
from tests.run.test_cdm import BAD, COMMENT, ITEM, MAPPING, CdmInstallation

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


@pytest.mark.parametrize("staging", [pytest.param("files", marks=pytest.mark.faults), "object-store"])
def test_mapper_actors_map_exactly_once(tmp_path: Path, staging: str) -> None:
    there = CdmInstallation(tmp_path, inline_below=0, staging=staging, models={ITEM: MAPPING[ITEM], COMMENT: BAD})
    summary = there.run()
    assert (summary.state, summary.executor) == (RunState.SUCCEEDED, "ray"), summary.error
    assert (summary.rows.committed, summary.rows.quarantined) == (1199, 1)
    assert there.living(ITEM) == there.living(COMMENT) == there.expected_ids() - Counter([7])
    assert there.run().rows.read == 0
