"""The proxy as a process of its own, for libraries that hold the interpreter's lock while they wait for an answer.

    python -m tests.object_stores.proxy_process URL KIND SHARES

`SHARES`, such as `{"busy": 0.05, "lost": 0.03}`: how many of all requests get each fault; `"conditional": 9`: of the conditional ones each
ninth loses its answer. Prints its address, serves until its standard input is closed, and prints how many requests got each fault.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tests.object_stores.proxy import AMAZON, AZURE, GOOGLE, Answers, Translation, every, first_of, open_proxy, some
from tests.object_stores.stores import AzureListings, XmlUploads

Kind = Literal["amazon", "azure", "google"]
ANSWERS: dict[Kind, Answers] = {"amazon": AMAZON, "azure": AZURE, "google": GOOGLE}


def translation_of(kind: Kind) -> Translation | None:
    return {"amazon": None, "azure": AzureListings(), "google": XmlUploads()}[kind]


class ProxyProcess:
    def __init__(self, url: str) -> None:
        self.url = url
        self.injected: dict[str, int] = {}
        """When it has ended."""


@contextmanager
def run_proxy(target: str, kind: Kind, shares: dict[str, float]) -> Iterator[ProxyProcess]:
    command = [sys.executable, "-m", "tests.object_stores.proxy_process", target, kind, json.dumps(shares)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        found = ProxyProcess(process.stdout.readline().strip())
        try:
            yield found
        finally:
            process.stdin.close()
            found.injected = json.loads(process.stdout.readline() or "{}")


def main(target: str, kind: Any, shares: dict[str, Any]) -> None:
    conditional = int(shares.pop("conditional", 0))
    rules = [some(share, fault) for fault, share in shares.items()]  # type: ignore[arg-type]
    if conditional:
        rules.insert(0, every(conditional, "lost", lambda request: request.is_conditional))
    with open_proxy(target, ANSWERS[kind], translation_of(kind)) as proxy:
        proxy.delay_s = 0.02
        proxy.rule = first_of(rules)
        print(proxy.url, flush=True)
        sys.stdin.read()
        print(json.dumps(Counter(fault for fault, _ in proxy.injected)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
