"""Runs the campaign: `python -m tests.faults --rounds 200 --seed 1`."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.faults.campaign import Campaign
from tests.faults.place import Place


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--rows", type=int, default=8_000)
    options.add_argument("--cluster-share", type=float, default=0.25, help="rounds that run on Ray")
    options.add_argument("--staging", choices=["files", "object-store"], default="files")
    options.add_argument("--folder", type=Path)
    options.add_argument("--seconds", type=float, default=float("inf"), help="begin no round after this long")
    given = options.parse_args()
    random, started = Random(given.seed), time.monotonic()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="ingest-campaign"))
    place = Place(folder, random, given.rows, given.staging)
    campaign = Campaign(place, random, given.cluster_share)
    try:
        place.call("collect", "shop")
        place.configure(inline=True)
        while campaign.report.rounds < given.rounds and time.monotonic() - started < given.seconds:
            campaign.round()
            if campaign.report.rounds % 10 == 0:
                print(json.dumps(campaign.report.as_dict()), flush=True)
    finally:
        place.close()
    print(json.dumps(campaign.report.as_dict(), indent=2))
    return 1 if campaign.report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
