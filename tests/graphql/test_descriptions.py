"""Every type and every field of the schema says what it is."""

from graphql import build_schema

from ingest_ray.graphql.descriptions import FIELDS, TYPES
from ingest_ray.graphql.schema import sdl

SCHEMA = build_schema(sdl())
BUILT_IN = ("Int", "Float", "String", "Boolean", "ID")


def described() -> dict[str, str | None]:
    found = {}
    for kind in SCHEMA.type_map.values():
        if not kind.name.startswith("__") and kind.name not in BUILT_IN:
            found[kind.name] = kind.description
            found |= {f"{kind.name}.{name}": field.description for name, field in getattr(kind, "fields", {}).items()}
    return found


def test_every_type_and_field_is_described() -> None:
    missing = [name for name, text in described().items() if not text]
    assert missing == [], "add a docstring, or a text in ingest_ray/graphql/descriptions"


def test_the_tables_name_only_what_the_schema_has() -> None:
    names = set(described())
    fields = {name.partition(".")[2] for name in names}
    assert [name for name in FIELDS if name not in names and name not in fields] == []
    assert [name for name in TYPES if name not in names] == []
