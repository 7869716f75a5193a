"""One table of the goals that speed has: ours, its peer, what it must be. Each row has a script of its own, which is run as it is.

    make bench                                       20 to 30 minutes
    python -m bench.goals --rows 2000000 --rounds 1 --only postgres ray

A row whose script fails, or whose peer cannot be installed here, says so. On a machine that does other things the ratios mean little, and
seconds nothing.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

DUCKDB, OURS = "DuckDB's scanner to Parquet", "ingest-ray run, to a committed Delta table"
WARM, COLD, BARE = "1,000 rows on a warm Ray", "1,000 rows on a Ray of its own", "Ray's own start and stop"


class NotMeasured(Exception):
    """A row has no figure; says why."""


@dataclass(frozen=True)
class Goal:
    work: str
    must: str
    shown: Callable[["Sitting"], str]
    """The figure. Raises `NotMeasured`."""


@dataclass
class Sitting:
    """What the scripts have printed: the cells of their tables by script and first cell, and their lines of JSON."""

    cells: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    documents: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, arguments: Sequence[str]) -> None:
        print(f"{time.strftime('%H:%M:%S')} {name}: python {' '.join(arguments)}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            self.failures[name] = (
                f"`{arguments[-1] if len(arguments) == 1 else arguments[1]}` ended with {done.returncode}"
            )
        for line in done.stdout.splitlines():
            if line.startswith("|"):
                first, *rest = (cell.strip() for cell in line.strip("|").split("|"))
                self.cells[name, first] = rest
            elif line.startswith("{"):
                self.documents.setdefault(name, []).append(json.loads(line))

    def number(self, script: str, row: str, column: int) -> float:
        """A cell of the row that begins with `row`; the first column after it is 0."""
        for (name, first), cells in self.cells.items():
            if name == script and first.startswith(row):
                return float(re.sub(r"[^0-9.]", "", cells[column]))
        raise NotMeasured(self.failures.get(script, f"{row}: not here"))

    def ratio(self, ours: tuple[str, str], peer: tuple[str, str]) -> str:
        own, other = self.number(*ours, 0), self.number(*peer, 0)
        return f"{own / other:.2f} x ({own:.2f} s against {other:.2f} s)"


def on_warm_ray(rows: int) -> str:
    return f"{rows:,} rows of lineitem on a warm Ray"


def beyond_bare(sitting: Sitting) -> str:
    cold, bare = sitting.number("ray", COLD, 0), sitting.number("ray", BARE, 0)
    return f"{cold - bare:.2f} s ({cold:.2f} s against {bare:.2f} s)"


def a_slice(sitting: Sitting) -> str:
    """Between 100 and 1,100 slices, so that the start is not counted."""
    return f"{sitting.number('slices', '1,100', 0) - sitting.number('slices', '100', 0):.2f} ms"


def a_request(sitting: Sitting) -> str:
    runs = sitting.documents.get("jira")
    if not runs:
        raise NotMeasured(sitting.failures.get("jira", "no result"))
    return f"{1000 * runs[0]['client_cpu_s'] / runs[0]['requests']:.1f} ms"


def of_mariadb(sitting: Sitting) -> str:
    """The better one of the peer's settings."""
    ours = sitting.number("mariadb", OURS, 0)
    peers = [sitting.number("mariadb", f"ConnectorX to Parquet, {count}", 0) for count in (2, 4)]
    return f"{ours / min(peers):.2f} x ({ours:.2f} s against {min(peers):.2f} s)"


def goals(rows: int) -> Iterator[Goal]:
    large = f"{rows:,} rows of lineitem, PostgreSQL to a committed Delta table"
    warm = ("ray", on_warm_ray(rows))
    yield Goal(
        f"{large}, threads: against {DUCKDB}", "1.3 x", lambda s: s.ratio(("postgres", OURS), ("postgres", DUCKDB))
    )
    yield Goal(f"the same on a warm Ray: against {DUCKDB}", "1.5 x", lambda s: s.ratio(warm, ("postgres", DUCKDB)))
    yield Goal("the same on a warm Ray: against our threads", "1.15 x", lambda s: s.ratio(warm, ("postgres", OURS)))
    yield Goal("client's CPU for 2,000,000 rows", "2.6 s", lambda s: f"{s.number('cpu', OURS, 3):.2f} s")
    yield Goal("MariaDB to Delta, 2,000,000 rows: against ConnectorX", "1.0 x", of_mariadb)
    yield Goal(
        "PostgreSQL to PostgreSQL, 1,000,000 rows: against ADBC ingest",
        "1.1 x",
        lambda s: s.ratio(("sql", "ingest-ray run"), ("sql", "ADBC ingest")),
    )
    yield Goal("1,000 rows on a warm Ray, whole process", "1.5 s", lambda s: f"{s.number('ray', WARM, 0):.2f} s")
    yield Goal("a Ray of its own: beyond Ray's bare start and stop", "0.5 s", beyond_bare)
    yield Goal("Jira without a felt limit: client's CPU a request", "4 ms", a_request)
    yield Goal("slices of one row: CPU a slice", "3 ms", a_slice)
    yield Goal(f"memory of {rows:,} rows", "350 MiB", lambda s: f"{s.number('postgres', OURS, 4):.0f} MiB")
    yield Goal("memory of 2,000,000 rows: flat", "350 MiB", lambda s: f"{s.number('cpu', OURS, 4):.0f} MiB")


def scripts(rows: int, rounds: int) -> dict[str, list[str]]:
    times = ["--rounds", str(rounds)]
    duckdb = ["--peers", "duckdb_scanner.py", "--without-ray"]
    return {
        "postgres": ["-m", "bench.side_by_side", "--rows", str(rows), *times, *duckdb],
        "cpu": ["-m", "bench.side_by_side", "--rows", "2000000", *times, *duckdb],
        "ray": ["-m", "bench.warm_ray", "--rows", str(rows), *times],
        "mariadb": ["-m", "bench.mariadb_to_delta", *times],
        "sql": ["-m", "bench.sql_to_sql", *times],
        "slices": ["-m", "bench.slices", "100", "1100"],
        "jira": ["bench/jira_50k.py", "--inline", "--rate", "200", "--issues", "20000"],
    }


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=6_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", nargs="+", choices=list(scripts(0, 0)), help="scripts to run")
    given = options.parse_args()
    sitting = Sitting()
    for name, arguments in scripts(given.rows, given.rounds).items():
        if given.only is None or name in given.only:
            sitting.run(name, arguments)
    print(f"\nmedians of {given.rounds} rounds\n\n| work | ours | must |\n|---|---|---|")
    for goal in goals(given.rows):
        try:
            shown = goal.shown(sitting)
        except NotMeasured as reason:
            shown = f"not measured: {reason}"
        print(f"| {goal.work} | {shown} | {goal.must} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
