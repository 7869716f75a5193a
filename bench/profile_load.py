"""Profiles the CPU of a load: lineitem from PostgreSQL to Delta, one process and one reader, by cProfile.

    python -m bench.profile_load --rows 2000000

The profiler slows the load, small functions most: the unprofiled CPU of the same run is printed beside it.
"""

import argparse
import json
import pstats
import subprocess
import sys
from pathlib import Path

from bench.ingest_command import INGEST, empty_folder, prepare
from bench.lineitem import serve_lineitem
from bench.measure import measured
from bench.side_by_side import document

PROFILED = """
import cProfile, sys, time
from ingest_ray.cli.main import main
profile = cProfile.Profile(time.process_time)
sys.argv = ["ingest-ray", "run", "shop", "--json"]
try:
    profile.runcall(main)
except SystemExit:
    pass
profile.dump_stats("load.prof")
"""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--top", type=int, default=24)
    options.add_argument("--folder", type=Path, default=Path("demo-home/profile"))
    given = options.parse_args()
    folder = empty_folder(given.folder.absolute())
    url = serve_lineitem(folder / "pg", given.rows)
    plain = measured([INGEST, "run", "shop", "--json"], prepare_home(folder, url))
    home = prepare_home(folder, url)
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROFILED], cwd=home, check=True, stdout=subprocess.DEVNULL)
    print(json.dumps({"rows": given.rows, "unprofiled_cpu_s": round(plain.cpu_s, 2)}))
    stats = pstats.Stats(str(home / "load.prof"))
    stats.sort_stats("tottime").print_stats(given.top)
    return 0


def prepare_home(folder: Path, url: str) -> Path:
    """A new home with the table collected, and no row loaded."""
    return prepare(empty_folder(folder / "out"), document(url, f"{{inline_below: {2**40}, inline_threads: 1}}"))


if __name__ == "__main__":
    sys.exit(main())
