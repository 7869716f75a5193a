"""PostgreSQL -> committed Iceberg table, beside our Delta table and the peers: whole processes, in turn, the order alternating.

    python -m bench.postgres_to_iceberg --rows 2000000 --rounds 3

After each process the rows of the table are counted with DuckDB or pyiceberg; a peer that cannot be installed is left out with a message.
"""

import argparse
import shutil
import statistics
import sys
from pathlib import Path

from bench.ingest_command import empty_folder, measure_load
from bench.lineitem import serve_lineitem
from bench.measure import Measured, cores, measured
from bench.side_by_side import Peer, environment

ICEBERG, DELTA = "ingest-ray run, to a committed Iceberg table", "ingest-ray run, to a committed Delta table"
SINKS = {
    ICEBERG: "{id: lake, template: lake.iceberg, config: {warehouse: ./lake}}",
    DELTA: "{id: lake, template: lake.delta, config: {uri: ./lake}}",
}
PEERS = (
    Peer(
        "dlt with ConnectorX to Iceberg",
        "dlt_iceberg.py",
        ("dlt[filesystem,parquet,pyiceberg]==1.31.0", "sqlalchemy==2.1.9", "connectorx==0.4.6", "psycopg2-binary==2.9.13", "pandas==3.1.1"),
    ),
    Peer("ingestr to Iceberg", "ingestr_iceberg.py", ("ingestr==1.0.68",)),
)  # fmt: skip


def document(url: str, sink: str) -> str:
    return f"""\
home: .ingest-ray
ray: {{inline_below: {2**40}, inline_threads: 2}}
endpoints:
  - {{id: shop, template: jdbc.postgres, config: {{url: "{url}", schemas: [public]}}}}
sinks:
  - {sink}
units:
  - {{endpoint: shop, unit: public.lineitem, sink: lake, enabled: true, run_mode: FULL, policy: {{target_slice_bytes: 33554432}}}}
"""


def rows_written(folder: Path) -> int:
    """Of the newest version of the one Iceberg table below `folder`."""
    from pyiceberg.table import StaticTable

    metadata = max(folder.rglob("*.metadata.json"), key=lambda path: path.stat().st_mtime_ns)
    snapshot = StaticTable.from_metadata(str(metadata)).current_snapshot()
    return int((snapshot.summary["total-records"] if snapshot and snapshot.summary else None) or 0)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=2_000_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path, default=Path("demo-home/postgres-to-iceberg"))
    given = options.parse_args()
    folder = given.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    pythons = {peer: environment(peer, folder / "environments") for peer in PEERS}
    shutil.rmtree(folder / "pg", ignore_errors=True)
    url = serve_lineitem(folder / "pg", given.rows)
    runs: dict[str, list[Measured]] = {}
    for number in range(given.rounds):
        turns: list[tuple[str, Peer | None, Path | None]] = [(name, None, None) for name in SINKS]
        turns += [(peer.name, peer, python) for peer, python in pythons.items() if python]
        for name, peer, python in turns if number % 2 == 0 else reversed(turns):
            out = empty_folder(folder / "out")
            if peer is None:
                done = measure_load(out, document(url, SINKS[name]), given.rows)
            else:
                script = Path("bench/peers", peer.script).absolute()
                done = measured([str(python), str(script), url, str(out)], out)
                if rows_written(out) != given.rows:
                    raise SystemExit(f"{name}: {rows_written(out):,} rows instead of {given.rows:,}")
            runs.setdefault(name, []).append(done)
            print(f"round {number + 1}: {name}: {done.wall_s:.2f} s, {done.cpu_s:.2f} s of CPU", file=sys.stderr)
    report(given.rows, runs)
    return 0


def report(rows: int, runs: dict[str, list[Measured]]) -> None:
    base = statistics.median(run.wall_s for run in runs[ICEBERG])
    print(f"\n{rows:,} rows of lineitem, {cores()} cores, medians of {len(runs[ICEBERG])} rounds, whole processes\n")
    print("| what | wall s | against ours | CPU s (client) | all processes MiB |\n|---|---|---|---|---|")
    for name, of_name in sorted(runs.items(), key=lambda entry: statistics.median(run.wall_s for run in entry[1])):
        wall_s, cpu_s = (statistics.median(getattr(run, key) for run in of_name) for key in ("wall_s", "cpu_s"))
        mib = max(run.together_mib for run in of_name)
        print(f"| {name} | {wall_s:.2f} | {wall_s / base:.2f} | {cpu_s:.2f} | {mib:.0f} |")


if __name__ == "__main__":
    sys.exit(main())
