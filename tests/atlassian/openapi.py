"""Checks answers against Atlassian's OpenAPI files, which are read from beside the project where they exist."""

import gzip
import json
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

SPECS = Path(__file__).parents[2] / ".." / "shared" / "specs"

# Defects of the files, which contradict the products' own answers, or the examples of the same file.
# Properties that a closed schema lacks, by (file, schema):
LACKING: dict[tuple[str, str], dict[str, Any]] = {
    ("jira-cloud-v3", "ServerInformation"): {"defaultLocale": {"type": "object"}},
    ("jira-cloud-v3", "BulkIssueResults"): {"expand": {"type": "string"}},
}
# Properties whose declared type is wrong: in changelog/bulkfetch `created` is a number, says the example.
RETYPED: dict[tuple[str, str, str], Any] = {
    ("jira-cloud-v3", "Changelog", "created"): {"type": ["string", "integer"]},
    ("jira-dc-10.3", "IssueBean", "fields"): {"type": "object"},
}
# Closed schemas whose members are those of their alternatives:
OPEN = {("jira-cloud-v3", "JqlQueryClause")}
# Arrays that are declared by the schema of one item:
ARRAYS = {
    ("jira-dc-10.3", path)
    for path in (
        "/api/2/field",
        "/api/2/project",
        "/api/2/user/search",
        "/api/2/status",
        "/api/2/priority",
        "/api/2/issuetype",
        "/api/2/user/assignable/search",
        "/api/2/user/assignable/multiProjectSearch",
        "/api/2/application-properties",
        "/api/2/filter/{id}/permission",
    )
}


@lru_cache(maxsize=8)
def load(name: str) -> dict[str, Any]:
    path = SPECS / f"{name}.json.gz"
    if not path.exists():
        pytest.skip(f"Atlassian's OpenAPI file {path.name} is not beside the project")
    with gzip.open(path) as file:
        document: dict[str, Any] = json.load(file)
    schemas = document.get("components", {}).get("schemas", {})
    for schema_name, schema in schemas.items():
        if (name, schema_name) in OPEN:
            schema.pop("additionalProperties", None)
        if "properties" in schema:
            schema["properties"].update(LACKING.get((name, schema_name), {}))
            for prop in schema["properties"]:
                if (name, schema_name, prop) in RETYPED:
                    schema["properties"][prop] = RETYPED[name, schema_name, prop]
    made: dict[str, Any] = _plain(document)
    return made


def _plain(node: Any) -> Any:
    """JSON Schema for OpenAPI 3.0: `nullable` becomes a type."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {k: _plain(v) for k, v in node.items() if k not in ("example", "examples", "xml", "discriminator")}
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    return made


def schema_of(name: str, method: str, path: str, status: str = "200") -> dict[str, Any]:
    operation = load(name)["paths"][path][method.lower()]
    answers = operation["responses"]
    chosen = answers.get(status) or answers.get("default") or {}
    for kind, content in chosen.get("content", {}).items():
        if "json" in kind:
            schema: dict[str, Any] = content.get("schema", {})
            return schema
    return {}


def violations(name: str, method: str, path: str, document: Any, *, nulls: bool = True) -> list[str]:
    """Where a document breaks the file; with `nulls`, a property that is null counts as absent."""
    schema = deepcopy(schema_of(name, method, path))
    if (name, path) in ARRAYS:
        schema = {"type": "array", "items": schema}
    assert schema, f"{name} has no schema for {method} {path}"
    schema["components"] = load(name)["components"]
    checked = _without_nulls(document) if nulls else document
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator.iter_errors(checked)]


def _without_nulls(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: _without_nulls(v) for k, v in node.items() if v is not None}
    if isinstance(node, list):
        return [_without_nulls(item) for item in node]
    return node
