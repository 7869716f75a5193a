"""Runs the campaign: `python -m tests.faults --rounds 200 --seed 1`."""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

from tests.faults.campaign import START_EMPTY, Campaign
from tests.faults.installation_under_test import InstallationUnderTest
from tests.faults.lakes import Lake, object_store
from tests.faults.sources import SOURCES
from tests.faults.sources.orders_table import WRITES


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rows", type=int, default=8_000)
    options.add_argument("--source", choices=[*SOURCES, "all"], default="all")
    options.add_argument("--fault", "--strike", default="", help="only faults whose names match this expression")
    options.add_argument("--cluster-share", type=float, default=0.25, help="rounds that run on Ray")
    options.add_argument("--empty-share", type=float, default=START_EMPTY, help="rounds that begin with an empty table")
    options.add_argument("--staging", choices=["files", "object-store", "auto"], default="files")
    options.add_argument("--sink", choices=["lake.delta", "lake.iceberg"], default="lake.delta")
    options.add_argument("--store", choices=["folder", "s3"], default="folder", help="s3: of Iceberg")
    options.add_argument("--write", choices=[*WRITES, "all"], default="upsert", help="how orders are written")
    options.add_argument("--layout", action="store_true", help="with partitions, order and compaction")
    options.add_argument("--folder", type=Path, help="none: a new one, which goes when nothing is wrong")
    options.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after this long")
    given = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmounts and stops what the campaign started
    started, folder = time.monotonic(), given.folder or Path(tempfile.mkdtemp(prefix="ingest-campaign"))
    with ExitStack() as stack:
        installations = {}
        store = stack.enter_context(object_store()) if given.store == "s3" else None
        writes = list(WRITES) if given.write == "all" else [given.write]
        names = list(SOURCES) if given.source == "all" else [given.source]
        for title, name, write in ((f"{name}-{write}", name, write) for name in names for write in writes):
            source = SOURCES[name](Random(f"{given.seed} {title}"), given.rows)
            stack.callback(source.close)
            lake = Lake((folder / title / "lake").absolute(), given.sink, store)
            installation = InstallationUnderTest(folder / title, source, lake, given.staging, write, given.layout)
            stack.callback(installation.close)
            installations[title] = installation
        campaign = Campaign(installations, Random(given.seed), given.cluster_share, given.fault, given.empty_share)
        report = campaign.report
        try:
            while installations and report.rounds < given.rounds and time.monotonic() - started < given.seconds:
                campaign.round()
                if report.rounds % 10 == 0:
                    print(json.dumps(report.as_dict()), flush=True)
        finally:
            print(json.dumps(report.as_dict(), indent=2), flush=True)
    if given.folder is None and not report.violations:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
