"""Makes the pictures of docs/monitoring.md: the console in a browser, and the dashboard's panels.

    scripts/install-test-services      as root: Chromium and Prometheus
    python scripts/make_screenshots.py

A shop in SQLite is loaded and changed for a while, by the real service; a real Prometheus scrapes it and evaluates the dashboard's expressions. Grafana
is not run here (its licence is the AGPL): the panels are drawn from Prometheus' answers, at the places that the dashboard's file gives them.
"""

import html
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
SECONDS = 75  # of load, shown by the graphs
FILE = """\
endpoints:
  - {id: shop, template: jdbc.sqlite, config: {path: shop.db}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - {endpoint: shop, unit: "*", sink: lake, enabled: true, policy: {fresh_within: 1h}}
  - {endpoint: shop, unit: returns, policy: {fresh_within: 20s}}
alerts: {receivers: []}
"""
TABLES = ("customers", "orders", "payments", "returns")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ingest.yaml").write_text(FILE)
        with closing(sqlite3.connect(folder / "shop.db")) as connection, connection:
            for table in TABLES:
                connection.execute(f"create table {table} (id integer primary key, amount integer, note text)")
            change(connection, 0)
        for command in ("apply", "collect shop", "run shop"):
            ingest(folder, command)
        token = json.loads(ingest(folder, "token create --name docs --role admin --json"))["token"]
        (folder / "token").write_text(token)
        with served(folder) as address, scraped(folder, address) as prometheus:
            load(folder)
            shoot(address, token, dashboard(prometheus), folder)


def ingest(folder: Path, command: str, *, may_fail: bool = False) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ingest_ray.cli", *command.split()], cwd=folder, capture_output=True, text=True
    )
    assert may_fail or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def change(connection: sqlite3.Connection, turn: int) -> None:
    there = {name for (name,) in connection.execute("select name from sqlite_master")}
    for n, table in enumerate(TABLES):
        if table not in there:
            continue
        rows = [(f"note {turn}",)] * (40 * (n + 1) + 15 * (turn % 4))
        connection.executemany(f"insert into {table} (amount, note) values (7, ?)", rows)


def load(folder: Path) -> None:
    """Three units are loaded again and again, and `returns` becomes late; then a row does not fit, and a table is gone."""
    began = time.monotonic()
    turn = 0
    while time.monotonic() - began < SECONDS:
        turn += 1
        with closing(sqlite3.connect(folder / "shop.db")) as connection, connection:
            change(connection, turn)
            if turn == 3:
                connection.execute("insert into payments (amount, note) values ('seven', 'not a number')")
            if turn == 5:
                connection.execute("drop table customers")
        ingest(folder, "run shop customers orders payments", may_fail=True)
        time.sleep(4)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    log = folder / "serve.log"
    with log.open("w") as out:
        command = [sys.executable, "-m", "ingest_ray.cli", "serve", "--port", "0"]
        server = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
    try:
        while (found := re.search(r"serving (http://[^/\s]+)", log.read_text())) is None:
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        yield found.group(1)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


@contextmanager
def scraped(folder: Path, address: str) -> Iterator[str]:
    """The URL of a Prometheus that has the rules of deploy/."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        own = f"127.0.0.1:{held.getsockname()[1]}"
    config = {
        "global": {"scrape_interval": "2s", "evaluation_interval": "2s"},
        "rule_files": [str(ROOT / "deploy" / "prometheus" / "ingest-ray.rules.yaml")],
        "scrape_configs": [
            {
                "job_name": "ingest-ray",
                "authorization": {"credentials_file": str(folder / "token")},
                "static_configs": [{"targets": [address.removeprefix("http://")]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
    with (folder / "prometheus.log").open("w") as out:
        server = subprocess.Popen(["prometheus", *options, f"--web.listen-address={own}"], stdout=out, stderr=out)
    try:
        yield f"http://{own}"
    finally:
        server.terminate()
        server.wait(60)


def ask(prometheus: str, path: str, **parameters: object) -> Any:
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["data"]["result"]


def dashboard(prometheus: str) -> str:
    """A page with the panels of the dashboard's file."""
    document = json.loads((ROOT / "deploy" / "grafana" / "ingest-ray.json").read_text())
    panels = "".join(panel_of(prometheus, panel) for panel in document["panels"])
    style = (
        "body{margin:0;background:#f4f5f5;font:13px sans-serif;color:#24292e}.grid{display:grid;grid-template-columns:"
        "repeat(24,1fr);grid-auto-rows:26px;gap:8px;padding:8px}.panel{background:#fff;border:1px solid #e0e1e3;padding:6px 8px;"
        "overflow:hidden}.panel b{font-weight:600}.stat{font-size:34px;text-align:center;color:#1f60c4}td{padding:2px 14px 2px 0}"
        ".key{display:inline-block;width:10px;height:3px;margin:0 4px 3px 10px}svg{width:100%;height:calc(100% - 40px);display:block}"
    )
    return f"<style>{style}</style><div class=grid>{panels}</div>"


def panel_of(prometheus: str, panel: dict[str, Any]) -> str:
    at, target = panel["gridPos"], panel["targets"][0]
    place = f"grid-column:{at['x'] + 1}/span {at['w']};grid-row:{at['y'] + 1}/span {at['h']}"
    expression = target["expr"].replace("$endpoint", ".*").replace("$__rate_interval", "20s").replace("[15m]", "[1m]")
    if panel["type"] == "timeseries":
        end = time.time()
        found = ask(prometheus, "query_range", query=expression, start=end - SECONDS, end=end, step=2)
        body = lines_of(found, target.get("legendFormat", ""))
    else:
        found = ask(prometheus, "query", query=expression)
        body = stat_of(found) if panel["type"] == "stat" else table_of(found)
    return f"<div class=panel style='{place}'><b>{html.escape(panel['title'])}</b>{body}</div>"


def stat_of(found: list[Any]) -> str:
    value = float(found[0]["value"][1]) if found else 0.0
    return f"<div class=stat>{value:.3g}</div>"


def table_of(found: list[Any]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(row['metric'].get('endpoint', ''))}<td>{html.escape(row['metric'].get('unit', ''))}"
        f"<td>{float(row['value'][1]):.0f}"
        for row in found
    )
    return f"<table><tr><td><i>endpoint<td><i>unit<td><i>value{rows}</table>"


COLOURS = ("#1f60c4", "#e0752d", "#37872d", "#a352cc", "#c4162a", "#0a7d87", "#967302", "#555555")


def lines_of(found: list[Any], legend: str) -> str:
    points = [(float(at), float(value)) for series in found for at, value in series["values"] if value != "NaN"]
    if not points:
        return "<p>no data</p>"
    first, last = min(at for at, _ in points), max(at for at, _ in points)
    highest = max(value for _, value in points) or 1.0
    drawn, keys = [], []
    for number, series in enumerate(found):
        colour = COLOURS[number % len(COLOURS)]
        places = " ".join(
            f"{(float(at) - first) / max(1.0, last - first) * 1000:.1f},{196 - float(value) / highest * 186:.1f}"
            for at, value in series["values"]
            if value != "NaN"
        )
        drawn.append(
            f"<polyline fill=none stroke='{colour}' stroke-width=2 vector-effect=non-scaling-stroke points='{places}'/>"
        )
        name = legend
        for label, value in series["metric"].items():
            name = name.replace("{{" + label + "}}", value)
        keys.append(f"<span class=key style='background:{colour}'></span>{html.escape(name)}")
    line = "<line x1=0 y1=196 x2=1000 y2=196 stroke='#ccc' vector-effect=non-scaling-stroke />"
    top = f"<div style='float:right;color:#888'>at most {highest:.3g}</div>"
    return f"{top}<svg viewBox='0 0 1000 200' preserveAspectRatio=none>{line}{''.join(drawn)}</svg>{''.join(keys)}"


def shoot(address: str, token: str, page_of_dashboard: str, folder: Path) -> None:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 760})
        page.set_default_timeout(60_000)
        page.goto(f"{address}/console/")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Overview").first.wait_for()
        for name, where in (
            ("console-overview", "/"),
            ("console-unit", "/unit?endpoint=shop&unit=orders"),
            ("console-runs", "/runs"),
        ):
            page.goto(f"{address}/console{where}")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(2_000)
            page.screenshot(path=IMAGES / f"{name}.png")
        (folder / "dashboard.html").write_text(page_of_dashboard)
        page.set_viewport_size({"width": 1200, "height": 1120})
        page.goto((folder / "dashboard.html").as_uri())
        page.screenshot(path=IMAGES / "dashboard.png", full_page=True)
        browser.close()
    for picture in sorted(IMAGES.glob("*.png")):
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
