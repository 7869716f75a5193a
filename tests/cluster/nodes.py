"""Several Ray nodes on one machine, in a process of their own that obeys lines on its standard input.

`python -m tests.cluster.nodes '[{"num_cpus": 0, "labels": {"role": "head"}}, ...]'` prints the address and the raylets' pids;
`kill 2` ends all processes of a node at once, as a machine that is taken away; `add {...}` starts another one; the end of
the input ends the rest. `own_folder` of a node: a path at which it sees an empty folder of its own, as another machine would.
"""

import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

# No dashboard, no autoscaler, and no logs that are sent to the driver: each is a process of its own.
SMALL = {
    "include_dashboard": False,
    "include_log_monitor": False,
    "no_monitor": True,
    "object_store_memory": 80_000_000,
}

_CLONE_NEWNS = 0x00020000  # https://man7.org/linux/man-pages/man2/unshare.2.html


def main(wanted: list[dict[str, Any]]) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(shutdown_at_exit=False)
    nodes: list[Any] = []

    def add(node: dict[str, Any]) -> None:
        if (path := node.pop("own_folder", None)) is not None:
            _mount_own(path)
        nodes.append(cluster.add_node(**SMALL, **node))

    def tell() -> None:
        pids = [node.all_processes["raylet"][0].process.pid for node in nodes if node.all_processes.get("raylet")]
        print(json.dumps({"address": cluster.address, "raylets": pids}), flush=True)

    for node in wanted:
        add(node)
    tell()
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "kill":
            cluster.remove_node(nodes[int(argument)], allow_graceful=False)
            print(json.dumps({"killed": int(argument)}), flush=True)
        elif command == "add":
            add(json.loads(argument))
            tell()
    for node in reversed(nodes):
        node.kill_all_processes(check_alive=False, allow_graceful=False)


def _mount_own(path: str) -> None:
    """In a new mount namespace of this thread, which the processes that it starts from now on have, too."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mount namespace can be made")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)


class Nodes:
    """The other side of it. The token keeps the cluster apart from all others; joining it needs `environment`."""

    def __init__(self, *wanted: dict[str, Any]) -> None:
        self.environment = os.environ | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.cluster.nodes", json.dumps(wanted)],
            cwd=Path(__file__).parents[2],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        told = self._answer()
        self.address: str = told["address"]
        self._raylets: list[int] = told["raylets"]

    def node_of(self, pid: int) -> int | None:
        """The number of the node that a worker process belongs to; None where it is gone."""
        try:
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return None
        return self._raylets.index(parent) if parent in self._raylets else None

    def process_of(self, title: str) -> int:
        """The worker process whose title begins so."""
        for entry in Path("/proc").iterdir():
            is_worker = entry.name.isdigit() and self.node_of(int(entry.name)) is not None
            if is_worker and (entry / "cmdline").read_bytes().startswith(title.encode()):
                return int(entry.name)
        raise AssertionError(f"no process is called {title}")

    def kill(self, number: int) -> None:
        self._say(f"kill {number}")
        assert self._answer() == {"killed": number}

    def add(self, **node: Any) -> None:
        self._say(f"add {json.dumps(node)}")
        self._raylets = self._answer()["raylets"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            assert self._process.stdout is not None
            self._process.stdout.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(b"{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise AssertionError("the nodes are gone")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
