"""What a slice costs beside its rows: one row per slice, a scripted source without a server, in one process and two threads.

    python -m bench.slices 100 1000 10000

Plan, stage, prepare, commit and fold are those of a real run into a Delta table; the time is the whole run's CPU, divided by slices.
"""

import logging
import sys
import tempfile
import time
from pathlib import Path

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.run import launch
from ingest_ray.sdk.types import Endpoint, Policy, RunMode, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings
from ingest_ray.testing.scripted import scripted


def order(folder: Path, slices: int) -> RunOrder:
    unit = f"numbers-1x{slices}"
    endpoint = Endpoint(endpoint_id="e", template="testing.scripted", config={"units": [unit], "slice_rows": 1})
    config = UnitConfig(
        endpoint_id="e",
        unit_id=unit,
        sink_id="lake",
        enabled=True,
        run_mode=RunMode.INCREMENTAL,
        policy=Policy(cursor="at"),
    )
    return RunOrder(
        run_id="bench",
        settings=Settings(
            home=str(folder), state_url=f"sqlite:///{folder}/state.db", ray=RaySettings(inline_threads=2)
        ),
        spec=UnitSpec(endpoint=endpoint, dataset=next(iter(scripted.collect(endpoint))), config=config),
        sink=Endpoint(endpoint_id="lake", template="lake.delta", config={"uri": str(folder / "lake")}),
    )


def main() -> int:
    logging.disable(logging.INFO)
    print("| slices | CPU s | wall s | CPU ms a slice | of it plan and state ms | commit ms |")
    print("|---|---|---|---|---|---|")
    for count in map(int, sys.argv[1:] or ["100", "1000"]):
        with tempfile.TemporaryDirectory() as folder:
            begun, wall = time.process_time(), time.monotonic()
            (summary,) = launch([order(Path(folder), count)], lambda _: None, lambda: False)
            cpu_s, wall_s = time.process_time() - begun, time.monotonic() - wall
        if summary.slices.committed != count or summary.rows.committed != count:
            raise SystemExit(f"{summary.slices} {summary.rows} {summary.error}")
        control = 1000 * (summary.phases["plan"] + summary.phases["state"]) / count
        commit = 1000 * summary.phases["commit"] / count
        print(f"| {count:,} | {cpu_s:.2f} | {wall_s:.2f} | {1000 * cpu_s / count:.2f} | {control:.2f} | {commit:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
