"""The descriptions of all types and fields of the schema.

The docstring of a class or of a resolver, where there is one; else a text of the tables here: by type and field, or by the name of the field.
"""

from graphql import GraphQLField, GraphQLInputField, GraphQLNamedType, GraphQLSchema

from ingest_ray.graphql.descriptions.catalog_fields import CATALOG_FIELDS
from ingest_ray.graphql.descriptions.ingestion_fields import INGESTION_FIELDS
from ingest_ray.graphql.descriptions.types import TYPES

FIELDS = CATALOG_FIELDS | INGESTION_FIELDS
DEFINITION = "strawberry-definition"


def describe(schema: GraphQLSchema) -> None:
    """Sets the descriptions that are missing."""
    for kind in schema.type_map.values():
        if kind.name.startswith("__"):
            continue
        kind.description = kind.description or _of_class(kind) or TYPES.get(kind.name)
        for name, field in getattr(kind, "fields", {}).items():
            own = _of_resolver(field) or FIELDS.get(f"{kind.name}.{name}") or FIELDS.get(name)
            field.description = field.description or own


def _of_class(kind: GraphQLNamedType) -> str | None:
    origin = getattr(kind.extensions.get(DEFINITION), "origin", None)
    text = (getattr(origin, "__doc__", None) or "").strip()
    is_generated = text.startswith(f"{getattr(origin, '__name__', '')}(")  # by dataclasses
    return None if not text or is_generated else _line(text)


def _of_resolver(field: GraphQLField | GraphQLInputField) -> str | None:
    resolver = getattr(field.extensions.get(DEFINITION), "base_resolver", None)
    text = getattr(getattr(resolver, "wrapped_func", None), "__doc__", None)
    return _line(text) if text else None


def _line(text: str) -> str:
    return " ".join(text.split())
