"""Validates files of `deploy/` against the vendors' own schemas: `schemas/README.md` says where those are from."""

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).parents[2]
SCHEMAS = Path(__file__).parent / "schemas"


def read_documents(name: str) -> list[Any]:
    return [document for document in yaml.safe_load_all((ROOT / name).read_text()) if document]


@cache
def schema_of(name: str) -> Any:
    return json.loads(gzip.decompress((SCHEMAS / f"{name}.json.gz").read_bytes()))


def validate_object(document: Any) -> None:
    """Raises jsonschema.ValidationError where a Kubernetes object, or one of KubeRay's, has a field that its schema has not."""
    fault = jsonschema.exceptions.best_match(_validator_of(document["kind"]).iter_errors(document))
    if fault is not None:
        raise fault


@cache
def _validator_of(kind: str) -> Any:
    """Checks the schema, too."""
    if kind in schema_of("kuberay-1.7.0"):
        schema = _strict(schema_of("kuberay-1.7.0")[kind], is_object=True)
    else:
        kubernetes = schema_of("kubernetes-1.34.0")
        schema = {"$ref": f"#/$defs/{kubernetes['kinds'][kind]}", "$defs": kubernetes["$defs"]}
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    return validator(schema)


def _strict(schema: Any, *, is_object: bool = False) -> Any:
    """A custom resource definition drops fields that it does not know; here they are refused, as by `kubectl --validate=strict`."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    if is_object:
        strict["properties"] = {**strict["properties"], "metadata": {"type": "object"}}
    if schema.get("x-kubernetes-int-or-string"):
        strict["type"] = ["integer", "string"]
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        strict.setdefault("additionalProperties", bool(schema.get("x-kubernetes-preserve-unknown-fields")))
    return strict
