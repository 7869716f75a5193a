"""`python -m ingest_ray.simulators.atlassian jira|confluence ...`: prints one JSON line when ready, serves until a signal."""

import argparse
import gc
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ingest_ray.simulators.atlassian.server.serving import bind, make
from ingest_ray.simulators.atlassian.server.traps import UnknownTrap, table
from ingest_ray.simulators.atlassian.site_options import SiteOptions

EXAMPLES = """examples:
  ingest-ray simulate jira --issues 5000 --projects 10
  ingest-ray simulate confluence --mode dc --pages 10000 --trap rate-limit
"""


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="ingest-ray simulate",
        description="Serves a simulated Jira or Confluence on 127.0.0.1.",
        epilog=f"{EXAMPLES}\ntraps (NAME, NAME=VALUE, NAME=VALUE@PATH, no-NAME):\n{table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("product", choices=("jira", "confluence"))
    options.add_argument("--mode", choices=("cloud", "dc"), default="cloud")
    options.add_argument("--port", type=int, default=0, help="0 takes any free port")
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--issues", type=int, default=500)
    options.add_argument("--projects", type=int, default=5)
    options.add_argument("--pages", type=int, default=500)
    options.add_argument("--spaces", type=int, default=5)
    options.add_argument("--users", type=int, default=0, help="0: as many as fit the size")
    options.add_argument("--rate-limit", type=float, default=0.0, help="requests per second, 0 for none")
    options.add_argument("--latency-ms", type=float, default=0.0)
    options.add_argument("--trap", action="extend", nargs="+", default=[], dest="traps", metavar="NAME")
    options.add_argument("--user-zone", default="Australia/Sydney")
    options.add_argument("--site-zone", default="America/New_York")
    options.add_argument("--locale", default="en_US")
    options.add_argument("--data", type=Path, help="a folder with jira-issues.jsonl.gz and wiki-pages.jsonl.gz")
    options.add_argument("--scopes", help="of tokens that have scopes, with blanks between; without: all")
    options.add_argument("--token-life-s", type=float, default=3600.0, help="life of OAuth 2.0 access tokens")
    options.add_argument("--quota", type=int, default=0, help="points of an OAuth 2.0 app in each hour, 0 for none")
    options.add_argument("--clock-speed", type=float, default=1.0, help="simulated seconds per second")
    options.add_argument("--frozen", action="store_true", help="the simulated clock stands still")
    return options


def run(product: str, port: int = 0, **options: Any) -> int:
    """Serves until SIGTERM or SIGINT. `options` are the fields of `SiteOptions`; `traps` any sequence of names.

    Prints `{"url", "user", "token", "mode"}` as one line on standard output as soon as the port answers.
    """
    options["traps"] = tuple(options.get("traps") or ())
    with bind(port) as listener:
        app, server = make(SiteOptions(product=product, **options), listener)  # type: ignore[arg-type]
        gc.collect()
        gc.freeze()  # a garbage collection over a hundred thousand pages stops the server for longer than an answer takes
        listener.listen(2048)
        login = app.credentials
        ready = {"url": app.url, "user": login.user, "token": login.token, "mode": options.get("mode", "cloud")}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn raises the signal again once it has shut down
            return 0
    return 0


def main(argv: Sequence[str] | None = None, known: argparse.ArgumentParser | None = None) -> int:
    options = vars((known or parser()).parse_args(argv))
    try:
        return run(options.pop("product"), options.pop("port"), **options)
    except UnknownTrap as unknown:
        sys.stderr.write(f"{unknown}\n")
        return 2
