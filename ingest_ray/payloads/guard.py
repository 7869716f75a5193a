"""Refuses payloads of the control plane by their size, by their content, and by what their types could hold."""

import types
import typing
from collections.abc import Collection, Iterator, Mapping
from enum import Enum
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ingest_ray.sdk.errors import PayloadTooLarge

LIMIT_BYTES = 64 * 1024
PLAIN = (str, int, float, bool, type(None))
BINARY = (bytes, bytearray, memoryview)
HINT = "rows belong into staging or a file; pass its handle"


def check_size(size: int, what: str = "a payload") -> None:
    if size > LIMIT_BYTES:
        raise PayloadTooLarge(
            f"{what} has {size} bytes, and at most {LIMIT_BYTES} may cross the control plane", hint=HINT
        )


def check_content(value: Any, where: str = "payload") -> None:
    """Raises `PayloadTooLarge` with the path of the value for Arrow data, bytes, or a list of records of any size."""
    match value:
        case str() | int() | float() | None:
            return
        case bytes() | bytearray() | memoryview():
            raise PayloadTooLarge(f"{where} is binary", hint=HINT)
        case BaseModel():
            for name in type(value).model_fields:
                check_content(getattr(value, name), f"{where}.{name}")
        case Mapping():
            for name, item in value.items():
                check_content(item, f"{where}.{name}")
        case list() | tuple() | set() | frozenset():
            for number, item in enumerate(value):
                if isinstance(item, Mapping | BaseModel | list | tuple):
                    raise PayloadTooLarge(f"{where}[{number}] is a record: a list of records is no payload", hint=HINT)
                check_content(item, f"{where}[{number}]")
        case _ if type(value).__module__.partition(".")[0] in ("pyarrow", "pandas", "polars", "numpy"):
            raise PayloadTooLarge(f"{where} is a {type(value).__module__}.{type(value).__name__}", hint=HINT)


def faults_of(annotation: Any, where: str) -> Iterator[str]:
    """Yields one text for each fault of a type: binary data, `Any`, lists of records, collections without a bound."""
    yield from _faults(annotation, where, bound=None, seen=set())


def _faults(annotation: Any, where: str, bound: int | None, seen: set[type]) -> Iterator[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        yield from _faults(arguments[0], where, _bound(arguments[1:]) or bound, seen)
    elif origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from _faults(argument, where, bound, seen)
    elif origin is typing.Literal or annotation in PLAIN or annotation is None:
        return
    elif origin is not None and issubclass(origin, Collection):
        if bound is None:
            yield f"{where}: a collection without max_length"
        for argument in arguments:
            if argument is not Ellipsis and not _is_plain(argument):
                yield f"{where}: a collection of {argument}, and not of plain values"
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        return
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            for name, field in annotation.model_fields.items():
                yield from _faults(field.annotation, f"{where}.{name}", _bound_of(field), seen | {annotation})
    else:
        yield f"{where}: {annotation} can hold anything"


def _is_plain(annotation: Any) -> bool:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _is_plain(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return all(_is_plain(argument) for argument in arguments)
    return annotation in PLAIN


def _bound_of(field: FieldInfo) -> int | None:
    return _bound(field.metadata)


def _bound(metadata: Collection[Any]) -> int | None:
    for item in metadata:
        inner = item.metadata if isinstance(item, FieldInfo) else ()
        bound = getattr(item, "max_length", None) or _bound(inner)
        if bound is not None:
            return int(bound)
    return None
