"""Where the CPU of a load goes: lineitem from PostgreSQL to Delta, one process and one reader, by cProfile.

    python -m bench.profile_load --rows 2000000

A profiler slows what it looks at, small functions most: the unprofiled CPU of the same run is printed beside it.
"""

import argparse
import json
import pstats
import shutil
import subprocess
import sys
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc

from bench.database import serving
from bench.kill_and_resume import INGEST
from bench.lineitem import statements
from bench.measure import measured
from bench.readers import document

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
    folder = given.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    url = serving(folder / "pg")
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements(given.rows):
            cursor.execute(statement)
    plain = measured([INGEST, "run", "shop", "--json"], prepared(folder, url))
    place = prepared(folder, url)
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROFILED], cwd=place, check=True, stdout=subprocess.DEVNULL)
    print(json.dumps({"rows": given.rows, "unprofiled_cpu_s": round(plain.cpu_s, 2)}))
    stats = pstats.Stats(str(place / "load.prof"))
    stats.sort_stats("tottime").print_stats(given.top)
    return 0


def prepared(folder: Path, url: str) -> Path:
    """A new home with the table collected, and nothing loaded."""
    place = folder / "out"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "ingest.yaml").write_text(document(url, f"{{inline_below: {2**40}, inline_threads: 1}}"))
    for command in (["apply"], ["collect", "shop"]):
        subprocess.run([INGEST, *command], cwd=place, check=True, stdout=subprocess.DEVNULL)
    return place


if __name__ == "__main__":
    sys.exit(main())
