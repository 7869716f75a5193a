"""PostgreSQL -> committed table of a lake: files that the lake adopts, beside pages that are read and encoded again, in turn.

    python -m bench.adopted_files --rows 2000000 --rounds 3 --sink lake.iceberg

CPU is user and system time of all processes of the run, its start and its imports included.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from bench.ingest_command import empty_folder, measure_load
from bench.lineitem import serve_lineitem
from bench.measure import Measured
from bench.side_by_side import document

STAGINGS = {"pages (`provider: files`)": "files", "files that the lake adopts (`provider: auto`)": "auto"}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--sink", choices=["lake.delta", "lake.iceberg"], default="lake.delta")
    options.add_argument("--on-ray", action="store_true", help="a Ray of its own instead of threads")
    options.add_argument("--folder", type=Path, default=Path("demo-home/adopted"))
    given = options.parse_args()
    folder = empty_folder(given.folder.absolute())
    url = serve_lineitem(folder / "pg", given.rows)
    ray = "{inline_below: 0}" if given.on_ray else f"{{inline_below: {2**40}, inline_threads: {given.threads}}}"
    runs: dict[str, list[Measured]] = {name: [] for name in STAGINGS}
    for number in range(given.rounds):
        for name, provider in STAGINGS.items():
            home = empty_folder(folder / f"{provider}-{number}")
            text = f"{document(url, ray, given.sink)}staging: {{provider: {provider}}}\n"
            runs[name].append(measure_load(home, text, given.rows))
            print(f"  {name}: {runs[name][-1].wall_s:.1f} s, {runs[name][-1].cpu_s:.2f} s of CPU", file=sys.stderr)
    report(runs)
    return 0


def report(runs: dict[str, list[Measured]]) -> None:
    print("| staging | wall s | CPU s | all processes MiB |\n|---|---|---|---|")
    for name, of_name in runs.items():
        wall_s, cpu_s = (statistics.median(getattr(run, key) for run in of_name) for key in ("wall_s", "cpu_s"))
        print(f"| {name} | {wall_s:.1f} | {cpu_s:.2f} | {max(run.together_mib for run in of_name):.0f} |")
    print(json.dumps({name: [round(run.cpu_s, 2) for run in of_name] for name, of_name in runs.items()}))


if __name__ == "__main__":
    sys.exit(main())
