"""A simulated Jira: issues, which become items of the common data model, and their comments, which are landed as they are.

The site is a process of its own, whose data depend on its seed and on the mutations it received. Its clock moves only when it is
advanced, so a killed site is rebuilt exactly: every request that was ever sent is sent again, in order, before the proxy accepts connections.
"""

import contextlib
import http.client
import json
import subprocess
import sys
import threading
from datetime import datetime
from random import Random
from threading import Event
from typing import Any

from ingest_ray.cdm import cdm_id
from ingest_ray.simulators.atlassian import Simulation
from tests.faults.lakes import Lake
from tests.faults.proxy import Proxy
from tests.faults.sources.source import Rows
from tests.faults.sources.writer import Writer

ROWS_PER_ISSUE = 12  # a site has this many times fewer issues than a database has rows
PROJECTS = 4
CREATED_FROM = 9_000  # the simulator numbers added comments and worklogs from here to 9,999, and then from 0
CHANGES = ("update", "update", "transition", "comment", "log-work", "move", "create")
ITEM_COLUMNS = (
    "cdm_id",
    "source_id",
    "source_issue_key",
    "project_cdm_id",
    "assignee_cdm_id",
    "issue_type",
    "status",
    "priority",
    "summary",
    "labels",
    "_source_key",
    "_source_version",
)


class JiraSource:
    server = "simulator"
    endpoint = "tracker"
    unit = "jira.issues"
    table = "cdm/cdm_work_item"
    lookback_s = 60  # of the site's clock, which runs a hundred times as fast: few rows are read again
    answer_delay_s = 0.03
    has_mappers = has_throttle = True

    def __init__(self, random: Random, rows: int) -> None:
        self._random = random
        self._sent: list[tuple[str, dict[str, Any]]] = []
        self._added = 0
        self._site = threading.Lock()  # a change is sent to a live site, or when the site is rebuilt: never twice
        self._command = ["jira", "--frozen", "--seed", str(random.randrange(2**30)), "--projects", str(PROJECTS)]
        self._command += ["--issues", str(max(60, rows // ROWS_PER_ISSUE))]
        self._start_site(port=0)
        self._port = int(self._simulation.url.rpartition(":")[2])
        self._ids = [record["id"] for record in self._simulation.expected("issues", brief=True)]
        self.proxy = Proxy(("127.0.0.1", self._port), ("127.0.0.1", 0)).start()
        self.writer = Writer(self._write, ())

    def _start_site(self, port: int) -> None:
        command = [sys.executable, "-m", "ingest_ray.simulators.atlassian", *self._command, "--port", str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self._simulation = Simulation(ready["url"], ready["user"], ready["token"], ready["mode"], "jira")

    def endpoint_config(self) -> dict[str, Any]:
        login = {"username": self._simulation.user, "api_token": self._simulation.token}
        size = {"slice_issues": 25, "requests_at_once": 3}
        return {"template": "jira.http", "config": {"base_url": f"http://127.0.0.1:{self.proxy.port}", **login, **size}}

    def rules(self, write: str) -> list[dict[str, Any]]:
        rule = {"run_mode": "INCREMENTAL", "policy": {"cursor": "updated", "max_parallel": 3}}
        return [
            {"unit": self.unit, "mode": "cdm", "sink_endpoint": "lake", **rule},
            {"unit": "jira.comments", **rule},
        ]

    # --- changes

    def _write(self, is_ending: Event) -> None:
        while not is_ending.wait(self._random.uniform(0.1, 0.6)):
            self._change()

    def _change(self) -> None:
        """Records a change before sending it: a site that dies meanwhile has it after its restart."""
        operation = self._random.choice(CHANGES)
        request: dict[str, Any] = {"op": operation}
        if operation != "create":
            request["ids"] = self._random.sample(self._ids, self._random.randint(1, 4))
            if operation in ("comment", "log-work") and not self._are_numbers_new(len(request["ids"])):
                return
            self._added += len(request["ids"])
        steps = [("advance_clock", {"seconds": self._random.randint(1, 60)}), ("mutate", request)]
        with self._site:
            self._sent += steps
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._send(steps)

    def _are_numbers_new(self, count: int) -> bool:
        """Whether new comments get numbers that no generated and no added comment has."""
        numbers = [(CREATED_FROM + self._added + one) % 10_000 for one in range(count + 1)]
        return self._added < 9_900 and min(numbers) > 1_000

    def _send(self, steps: list[tuple[str, dict[str, Any]]]) -> None:
        """Sends requests over one connection, because there may be thousands."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(connection):
            for path, document in steps:
                connection.request("POST", f"/__sim/{path}", json.dumps(document), {"content-type": "application/json"})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise AssertionError(f"the simulator refuses {document}: {body.decode()}")

    # --- killing and restarting

    def kill(self) -> None:
        self.proxy.is_refusing = True
        self._process.kill()
        self._process.communicate()
        self.proxy.cut()

    def start(self) -> None:
        if self._process.poll() is not None:
            with self._site:
                self._start_site(self._port)
                self._send(self._sent)
        self.proxy.is_refusing = False

    # --- the expected rows

    def rows(self) -> Rows:
        return Rows(row for record in self._simulation.expected("issues") for row in self._rows_of(record))

    def _rows_of(self, record: dict[str, Any]) -> list[tuple[Any, ...]]:
        number, key, fields = record["id"], record["key"], record["issue"]["fields"]
        item = (
            cdm_id("cdm.work.item", self.endpoint, key),
            number,
            key,
            cdm_id("cdm.work.project", self.endpoint, record["project"]),
            fields["assignee"] and cdm_id("cdm.work.user", self.endpoint, fields["assignee"]["accountId"]),
            fields["issuetype"]["name"],
            fields["status"]["name"],
            fields["priority"] and fields["priority"]["name"],
            fields["summary"],
            tuple(fields["labels"]),
            number,
            record["updated_ms"] * 1000,
        )
        return [item, *(_comment(number, one) for one in fields["comment"])]

    def lake_rows(self, lake: Lake, write: str) -> Rows:
        items = lake.read(self.table).select([*ITEM_COLUMNS, "_deleted_at"]).to_pylist()
        living = [row for row in items if row["_deleted_at"] is None]
        found = Rows(
            tuple(tuple(row[name]) if name == "labels" else row[name] for name in ITEM_COLUMNS) for row in living
        )
        comments = lake.read(f"{self.endpoint}/jira.comments").to_pylist()
        for row in comments:
            found[_comment(row["issue_id"], json.loads(row["payload"]))] += 1
        return found

    def close(self) -> None:
        self.proxy.close()
        self._process.kill()
        self._process.communicate()


def _comment(issue_id: str, comment: dict[str, Any]) -> tuple[Any, ...]:
    moment = datetime.fromisoformat(comment["updated"]).timestamp()
    return issue_id, comment["id"], moment, comment["author"]["accountId"], json.dumps(comment["body"], sort_keys=True)
