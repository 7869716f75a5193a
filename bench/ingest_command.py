"""Runs the `ingest-ray` command of this environment as its users do, and ends its processes."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from bench.measure import Measured, measured

INGEST = str(Path(sys.executable).absolute().with_name("ingest-ray"))


def empty_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def prepare(folder: Path, document: str) -> Path:
    """Writes `ingest.yaml` into a folder, applies it and collects the endpoint `shop`; loads no row."""
    (folder / "ingest.yaml").write_text(document)
    for command in (["apply"], ["collect", "shop"]):
        subprocess.run([INGEST, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def measure_load(folder: Path, document: str, rows: int | None = None) -> Measured:
    """Measures a load of `shop` and checks that all `rows` were committed."""
    done = measured([INGEST, "run", "shop", "--json"], prepare(folder, document))
    unit = json.loads(done.out)["units"][0]
    if rows is not None and unit["rows"]["committed"] != rows:
        raise SystemExit(f"rows are missing: {unit['rows']}")
    print(f"  {unit['executor']}: {unit['phases']}", file=sys.stderr)
    return done


def kill_tree(pid: int) -> None:
    """Kills a process and its descendants."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
