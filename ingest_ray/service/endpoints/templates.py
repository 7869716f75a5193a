"""Lists the installed templates of endpoints with the fields of their configuration."""

import ast
import inspect
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from itertools import pairwise
from textwrap import dedent
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel, JsonValue, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from ingest_ray.registry import sink_family, sink_templates, strategy_for, strategy_templates
from ingest_ray.sdk.contracts import Descriptor
from ingest_ray.sdk.errors import ConfigError, IngestError
from ingest_ray.sdk.types import Model
from ingest_ray.secrets.fields import members

ValueType = Literal[
    "STRING", "PASSWORD", "NUMBER", "INTEGER", "BOOLEAN", "URL", "HOSTNAME", "PORT", "JSON", "ENUM", "LIST"
]
_BY_TYPE: dict[type, ValueType] = {bool: "BOOLEAN", int: "INTEGER", float: "NUMBER"}


class TemplateField(Model):
    key: str
    label: str
    required: bool
    value_type: ValueType
    description: str | None = None
    default_value: str | None = None
    sensitive: bool = False
    choices: tuple[str, ...] = ()


class Template(Model):
    template_id: str
    role: Literal["source", "sink"]
    family: Literal["JDBC", "HTTP", "STREAM"]
    title: str
    vendor: str
    description: str = ""
    docs_url: str | None = None
    default_port: int | None = None
    capabilities: tuple[str, ...] = ()
    sample_config: Mapping[str, JsonValue] = {}
    fields: tuple[TemplateField, ...] = ()


class BrokenTemplate(Model):
    """A template of an installed package that cannot be loaded, as where its package is half upgraded."""

    template_id: str
    role: Literal["source", "sink"]
    error: str
    hint: str | None = None


def list_templates() -> list[Template]:
    """Sources, then sinks; without those that cannot be loaded."""
    return survey_templates()[0]


def survey_templates() -> tuple[list[Template], list[BrokenTemplate]]:
    """The templates that can be used, sources first, and those that cannot be loaded."""
    usable: list[Template] = []
    broken: list[BrokenTemplate] = []
    sources: list[tuple[Literal["source", "sink"], str]] = [("source", name) for name in strategy_templates()]
    for role, name in [*sources, *(("sink", name) for name in sink_templates())]:
        try:
            family = strategy_for(name) if role == "source" else sink_family(name)
            usable.append(_template(role, family.descriptor))
        except IngestError as error:
            broken.append(BrokenTemplate(template_id=name, role=role, error=error.message, hint=error.hint))
    return usable, broken


def template_of(name: str) -> Template:
    """Raises `ConfigError` that names the installed templates."""
    role, descriptor = descriptor_of(name)
    return _template(role, descriptor)


def descriptor_of(template: str) -> tuple[Literal["source", "sink"], Descriptor]:
    """Raises `ConfigError` that names the installed templates."""
    if template in sink_templates():
        return "sink", sink_family(template).descriptor
    if template in strategy_templates():
        return "source", strategy_for(template).descriptor
    known = ", ".join([*strategy_templates(), *sink_templates()])
    raise ConfigError(f"templateId: there is no template '{template}'", hint=f"there is: {known}")


def _template(role: Literal["source", "sink"], descriptor: Descriptor) -> Template:
    return Template(
        template_id=descriptor.template,
        role=role,
        family=descriptor.family,
        title=descriptor.title,
        vendor=descriptor.vendor,
        description=descriptor.description,
        docs_url=descriptor.docs_url,
        default_port=descriptor.default_port,
        capabilities=descriptor.capabilities,
        sample_config=dict(descriptor.sample_config),
        fields=_fields(descriptor.config_model),
    )


def _fields(model: type[BaseModel]) -> tuple[TemplateField, ...]:
    texts = texts_of_fields(model)
    return tuple(_field(name, field, texts.get(name)) for name, field in model.model_fields.items())


def texts_of_fields(model: type[BaseModel]) -> dict[str, str]:
    """The text under each field in the source of the class, and of those that it extends. Read where it is shown: Pydantic's
    `use_attribute_docstrings` reads it whenever a module is imported, for a tenth of a command's start."""
    texts: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not issubclass(kind, BaseModel) or kind is BaseModel:
            continue
        with suppress(OSError, TypeError, SyntaxError):  # a class without a source
            body = cast("ast.ClassDef", ast.parse(dedent(inspect.getsource(kind))).body[0]).body
            texts |= dict(_texts_below(body))
    return texts


def _texts_below(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, following in pairwise(body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)


def _field(name: str, field: FieldInfo, text: str | None) -> TemplateField:
    key = field.alias or name
    kinds = [kind for kind in members(field.annotation) if kind is not types.NoneType]
    value_type = _value_type(key, kinds)
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    return TemplateField(
        key=key,
        label=key.replace("_", " ").capitalize(),
        required=field.is_required(),
        value_type=value_type,
        description=field.description or text,
        default_value=None if default in (None, (), [], {}) or value_type == "PASSWORD" else _default_text(default),
        sensitive=value_type == "PASSWORD",
        choices=tuple(str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)),
    )


def _value_type(key: str, kinds: list[Any]) -> ValueType:
    if any(kind in (SecretStr, SecretBytes) for kind in kinds):
        return "PASSWORD"
    if any(get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum)) for kind in kinds):
        return "ENUM"
    origins = {get_origin(kind) or kind for kind in kinds}
    if origins & {list, tuple, set, frozenset}:
        return "LIST"
    if origins & {dict} or any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
        return "JSON"
    for kind, value_type in _BY_TYPE.items():
        if kind in origins and str not in origins:
            return "PORT" if key.endswith("port") and kind is int else value_type
    if key.lower().endswith(("url", "uri")):
        return "URL"
    return "HOSTNAME" if key.lower() in ("host", "hostname") else "STRING"


def _default_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
