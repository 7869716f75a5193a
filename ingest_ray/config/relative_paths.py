"""Makes the paths in an endpoint's configuration absolute, so that a process in another folder finds the same files."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, JsonValue

from ingest_ray.config.variables import VARIABLE
from ingest_ray.sdk.local_paths import LocalPathMark
from ingest_ray.secrets import is_reference
from ingest_ray.secrets.fields import Path as FieldPath
from ingest_ray.secrets.fields import map_secrets, members

Visit = Callable[[FieldPath, str], str]

_SQLITE = re.compile(r"((?:jdbc:sqlite:|sqlite(?:\+\w+)?:(?:///)?))(?!/|file:|:memory:|$)(.+)")
_FILE = "file:"


def with_absolute_paths(
    model: type[BaseModel], config: Mapping[str, JsonValue], folder: Path, more: tuple[str, ...] = ()
) -> dict[str, JsonValue]:
    """A copy of `config`. Paths are the fields of type `LocalPath` or `pathlib.Path`, those that `more` names, SQLite's files in `url`
    and `uri`, and the files of secrets (`file:password.txt`)."""

    def secret(_: FieldPath, value: JsonValue, is_url: bool) -> JsonValue:
        if is_url or not isinstance(value, str) or not value.startswith(_FILE):
            return value
        return _FILE + absolute(value.removeprefix(_FILE), folder)

    made = _of_paths(model, map_secrets(model, config, secret), more, lambda _, value: absolute(value, folder))
    for name in ("url", "uri"):
        value = made.get(name)
        if isinstance(value, str):
            made[name] = absolute_sqlite(value, folder)
    return made


def references_in_paths(
    model: type[BaseModel], config: Mapping[str, JsonValue], more: tuple[str, ...] = ()
) -> list[tuple[FieldPath, str]]:
    """The paths that are written as a reference to a secret, which only secrets and URLs may be: field and value."""
    found: list[tuple[FieldPath, str]] = []
    secrets: set[FieldPath] = set()

    def note_secret(field: FieldPath, value: JsonValue, is_url: bool) -> JsonValue:
        secrets.add(field)
        return value

    def note(field: FieldPath, value: str) -> str:
        if field not in secrets and is_reference(value):
            found.append((field, value))
        return value

    map_secrets(model, config, note_secret)
    _of_paths(model, config, more, note)
    return found


def unresolved_texts(
    model: type[BaseModel], config: Mapping[str, JsonValue], more: tuple[str, ...] = ()
) -> list[tuple[FieldPath, str]]:
    """Of a configuration that comes from no file: paths that are references, and `${NAME}`, which is replaced in files only."""
    found = [(field, path_fault(value)) for field, value in references_in_paths(model, config, more)]
    secrets: set[FieldPath] = set()

    def note_secret(field: FieldPath, value: JsonValue, is_url: bool) -> JsonValue:
        secrets.update([] if is_url else [field])
        return value

    map_secrets(model, config, note_secret)
    for field, value in _texts(config, ()):
        if field not in secrets and (match := VARIABLE.search(value)):
            found.append((field, f"'{match.group(0)}': variables are replaced in ingest.yaml only; write the value"))
    return found


def _texts(value: JsonValue | Mapping[str, JsonValue], path: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _texts(item, (*path, name))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from _texts(item, (*path, n))


def path_fault(value: str) -> str:
    """What is wrong with a path that is a reference, and what to write instead."""
    scheme, _, name = value.partition(":")
    instead = f"in ingest.yaml ${{{name}}} is the variable" if scheme == "env" else "write the path itself"
    return f"'{value}' is a reference to a secret, and this is a path: {instead}"


def absolute(path: str, folder: Path) -> str:
    if "://" in path or is_reference(path):
        return path
    return os.path.abspath(folder / Path(path).expanduser())


def absolute_sqlite(url: str, folder: Path) -> str:
    if (match := _SQLITE.fullmatch(url)) is None:
        return url
    return match.group(1) + os.path.abspath(folder / Path(match.group(2)).expanduser())


def _of_paths(
    model: type[BaseModel], config: Mapping[str, JsonValue], more: tuple[str, ...], visit: Visit
) -> dict[str, JsonValue]:
    """A copy of `config` in which every path is replaced by `visit`; `more` names fields that are paths, too."""
    made = _of_model(model, config, (), visit)
    for name in more:
        value = made.get(name)
        if isinstance(value, str):
            made[name] = visit((name,), value)
    return made


def _of_model(
    model: type[BaseModel], config: Mapping[str, JsonValue], path: FieldPath, visit: Visit
) -> dict[str, JsonValue]:
    made = dict(config)
    for name, field in model.model_fields.items():
        key = next((key for key in (field.alias, name) if key is not None and key in made), None)
        if key is not None:
            marks = [mark for mark in field.metadata if isinstance(mark, LocalPathMark)]
            made[key] = _made(field.annotation, marks, made[key], (*path, key), visit)
    return made


def _made(annotation: Any, marks: list[LocalPathMark], value: JsonValue, path: FieldPath, visit: Visit) -> JsonValue:
    marks = [*marks, *_marks_of(annotation)]
    kinds = members(annotation)
    if isinstance(value, str):
        is_path = bool(marks) or any(isinstance(kind, type) and issubclass(kind, Path) for kind in kinds)
        is_word = any(value in mark.words for mark in marks)
        return visit(path, value) if value and is_path and not is_word else value
    if isinstance(value, list):
        inner = [argument for kind in kinds for argument in get_args(kind) if argument is not Ellipsis]
        return [_made(inner[0], [], item, (*path, n), visit) for n, item in enumerate(value)] if inner else value
    if isinstance(value, dict):
        nested = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if nested is not None:
            return _of_model(nested, value, path, visit)
        values = next((get_args(kind)[1] for kind in kinds if len(get_args(kind)) == 2), None)
        if values is None:
            return value
        return {name: _made(values, [], item, (*path, name), visit) for name, item in value.items()}
    return value


def _marks_of(annotation: Any) -> Iterator[LocalPathMark]:
    """The marks of a type and of its alternatives."""
    yield from (mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, LocalPathMark))
    arguments = get_args(annotation)
    is_optional = bool(arguments) and getattr(annotation, "__origin__", None) not in (list, tuple, dict)
    for argument in arguments if is_optional else ():
        yield from _marks_of(argument)
