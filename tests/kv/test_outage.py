"""A run whose state store goes away for a while goes on when it comes back."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.engine.run_order import Progress
from ingest_ray.kv import open_kv
from ingest_ray.run import launch
from ingest_ray.sdk.types import RunState
from tests.run.installation import Installation


@pytest.mark.services
def test_d39_a_run_goes_on_when_its_redis_was_gone_for_a_while(tmp_path: Path, redis_server: Any) -> None:
    there = Installation(tmp_path)
    url = f"redis://127.0.0.1:{redis_server.port}/0?prefix=patient"
    order = there.order()
    order = order.model_copy(update={"settings": order.settings.model_copy(update={"kv_url": url})})
    outages: list[threading.Thread] = []

    def come_back() -> None:
        time.sleep(1.5)
        redis_server.start()

    def observe(progress: Progress) -> None:
        if progress.rows.committed >= 500 and not outages:
            redis_server.stop()
            outages.append(threading.Thread(target=come_back))
            outages[0].start()

    summary = launch([order], observe, lambda: False)[0]
    outages[0].join()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert there.ids() == there.expected_ids()
    assert list(open_kv(url).scan("ingest"))
