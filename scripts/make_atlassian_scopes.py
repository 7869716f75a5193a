"""Writes the scopes of Atlassian's read operations, from its OpenAPI files, for the simulators and for the strategies.

    python scripts/make_atlassian_scopes.py FOLDER    # with jira-cloud-v3.json.gz, jira-agile-1.0.json.gz, confluence-cloud-v1|v2.json.gz

https://developer.atlassian.com/cloud/jira/platform/swagger-v3.v3.json and its siblings. An operation has alternatives: the classic scopes,
or the granular ones.
"""

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SIMULATORS = ROOT / "ingest_ray/simulators/atlassian/server/scopes.json"
STRATEGIES = ROOT / "strategies/ingest_strategies/atlassian/access/scopes.json"
FILES = {
    "jira-cloud-v3": "",
    "jira-agile-1.0": "",
    "confluence-cloud-v1": "",
    "confluence-cloud-v2": "/wiki/api/v2",
}
QUERIES = ("search", "bulkfetch", "/list", "approximate-count", "jql/", "check", "users-bulk")  # POST that only reads


def scopes(folder: Path) -> dict[str, list[list[str]]]:
    """`GET /rest/api/3/issue/{}` -> the alternatives; an empty one: any token."""
    found: dict[str, list[list[str]]] = {}
    for name, prefix in FILES.items():
        document = json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if method == "get" or (method == "post" and any(word in path for word in QUERIES)):
                    pattern = f"{method.upper()} {prefix}{re.sub(r'{[^}]*}', '{}', path)}"
                    found[pattern] = alternatives(operation)
    return dict(sorted(found.items()))


def alternatives(operation: dict[str, Any]) -> list[list[str]]:
    listed = [item["scopes"] for item in operation.get("x-atlassian-oauth2-scopes", ())]
    if not listed:
        schemes = [scheme for scheme in operation.get("security", ()) if "basicAuth" not in scheme]
        listed = [names for scheme in schemes for names in scheme.values()]
    return [sorted(set(names)) for names in listed]


def used() -> set[str]:
    """The operations of the strategies' own tables."""
    sys.path[:0] = [str(ROOT), str(ROOT / "strategies")]
    from ingest_strategies.confluence.operations import OPERATIONS as CONFLUENCE
    from ingest_strategies.jira.operations import OPERATIONS as JIRA

    return {pattern for operations in (JIRA, CONFLUENCE) for patterns in operations.values() for pattern in patterns}


def write(file: Path, table: dict[str, list[list[str]]]) -> None:
    lines = [f"{json.dumps(pattern)}: {json.dumps(names)}" for pattern, names in table.items()]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    table = scopes(Path(sys.argv[1]))
    write(SIMULATORS, table)
    write(STRATEGIES, {pattern: names for pattern, names in table.items() if pattern in used()})
