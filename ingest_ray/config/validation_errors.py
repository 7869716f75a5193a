"""Translates pydantic's errors into messages with the line of the file: `ingest.yaml:12: units[0].policy.lag: ...`."""

import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from ingest_ray.config.yaml_lines import Lines, Path
from ingest_ray.secrets.fields import members, spelled

# What a value of another shape should be, in the words of YAML: pydantic speaks of Python's types.
YAML_SHAPES = {
    **dict.fromkeys(
        ("tuple_type", "list_type", "set_type", "frozen_set_type"), "should be a list: '- ' before each entry"
    ),
    **dict.fromkeys(
        ("dict_type", "model_type", "model_attributes_type"), "should be a mapping: 'name: value' on each line"
    ),
    "string_type": "should be a text; put it into quotes if it looks like a number or a date",
}


def faults_of(error: ValidationError, model: type[BaseModel], lines: Lines, above: Path = ()) -> Iterator[str]:
    """One line per error."""
    for path, said in _faults(error, model, above):
        yield f"{lines.at(path)}: {spelled(path)}: {said}"


def describe_errors(error: ValidationError, model: type[BaseModel], above: Path = ()) -> str:
    """The errors of a document without lines: `config.url: is required; config.port: should be ...`."""
    return "; ".join(f"{spelled(path)}: {said}" for path, said in _faults(error, model, above))


def _faults(error: ValidationError, model: type[BaseModel], above: Path) -> Iterator[tuple[Path, str]]:
    """Yields each error with its path. Input values are not repeated, because they may be secrets."""
    for fault in error.errors(include_input=False, include_url=False):
        path = tuple(part for part in fault["loc"] if isinstance(part, int) or not part.startswith("function-"))
        yield (*above, *path), _message(fault, model, path)


def _message(fault: Any, model: type[BaseModel], path: Path) -> str:
    kind, text = fault["type"], str(fault["msg"])
    if kind == "extra_forbidden":
        known = [name for owner in _models_at(model, path[:-1]) for name in owner.model_fields]
        close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
        return "unknown field" + (f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}")
    if kind == "missing":
        return "is required"
    if kind in YAML_SHAPES:
        return YAML_SHAPES[kind]
    text = text.removeprefix("Value error, ")
    if text.startswith("Input should be "):
        text = "should be " + text.removeprefix("Input should be ")
    return text[:1].lower() + text[1:]


def _models_at(model: type[BaseModel], path: Path) -> list[type[BaseModel]]:
    """The models that are allowed at a path, by the types of the fields along it."""
    found: list[Any] = [model]
    for part in path:
        below: list[Any] = []
        for kind in found:
            if isinstance(part, str) and isinstance(kind, type) and issubclass(kind, BaseModel):
                below += [field.annotation for name, field in kind.model_fields.items() if part in (name, field.alias)]
            else:
                below += [argument for argument in getattr(kind, "__args__", ()) if argument is not Ellipsis]
        found = [member for annotation in below for member in members(annotation)]
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, BaseModel)]
