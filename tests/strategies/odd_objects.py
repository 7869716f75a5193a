"""Objects that Atlassian's OpenAPI files allow, made at random: members that are missing or null, unknown values of enums."""

from random import Random
from typing import Any

from tests.atlassian.openapi import load

INSTANTS = [
    "2026-01-02T03:04:05.678+0900",
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05",
    "9999-12-31T23:59:59-01:00",
    "0001-01-01T00:00:00+01:00",
    "",
]
TEXTS = ["text", "", "\u0000", "\U0001f600", "a" * 300, "null", "1"]
NUMBERS = [0, 1, -1, 2**31, 2**53, 2**63, 7]
DEEPEST = 5


def make_object(spec: str, name: str, random: Random, **fixed: Any) -> dict[str, Any]:
    """An object of a schema; `fixed` members are as given."""
    schemas = load(spec)["components"]["schemas"]
    made = _make(schemas, {"$ref": f"#/components/schemas/{name}"}, random, 0)
    return (made if isinstance(made, dict) else {}) | fixed


def _make(schemas: dict[str, Any], schema: dict[str, Any], random: Random, depth: int) -> Any:
    if "$ref" in schema:
        return _make(schemas, schemas.get(schema["$ref"].rpartition("/")[2], {}), random, depth)
    for word in ("oneOf", "anyOf"):
        if schema.get(word):
            return _make(schemas, random.choice(schema[word]), random, depth)
    if schema.get("allOf"):
        parts = [_make(schemas, part, random, depth) for part in schema["allOf"]]
        if all(isinstance(part, dict) for part in parts):
            return {name: value for part in parts for name, value in part.items()}
        return parts[0]
    kinds = schema.get("type", "object" if "properties" in schema else None)
    kind = random.choice(kinds) if isinstance(kinds, list) else kinds
    if schema.get("enum") and random.random() < 0.7:
        return random.choice([*schema["enum"], "SOMETHING_NEW"])
    match kind:
        case "object" if depth < DEEPEST:
            members = schema.get("properties", {})
            return {
                name: None if random.random() < 0.15 else _make(schemas, member, random, depth + 1)
                for name, member in members.items()
                if name in schema.get("required", ()) or random.random() < 0.7
            }
        case "object":
            return {}
        case "array":
            items = [_make(schemas, schema.get("items", {}), random, depth + 1) for _ in range(random.randrange(3))]
            return [*items, None] if random.random() < 0.1 else items
        case "string":
            return random.choice(INSTANTS if schema.get("format") == "date-time" else TEXTS)
        case "integer" | "number":
            return random.choice(NUMBERS)
        case "boolean":
            return random.random() < 0.5
        case _:
            return None
