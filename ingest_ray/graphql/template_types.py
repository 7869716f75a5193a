"""GraphQL types of endpoint templates, and the inputs that register, change and test endpoints."""

from enum import Enum
from typing import Self

import strawberry
from strawberry import ID
from strawberry.scalars import JSON

from ingest_ray.graphql.conversions import json_document
from ingest_ray.sdk.types import ConnectionReport
from ingest_ray.service.endpoints.templates import Template, TemplateField


@strawberry.enum
class MetadataEndpointFamily(Enum):
    JDBC = "JDBC"
    HTTP = "HTTP"
    STREAM = "STREAM"


@strawberry.enum
class MetadataEndpointFieldValueType(Enum):
    STRING = "STRING"
    PASSWORD = "PASSWORD"
    NUMBER = "NUMBER"
    INTEGER = "INTEGER"
    BOOLEAN = "BOOLEAN"
    URL = "URL"
    HOSTNAME = "HOSTNAME"
    PORT = "PORT"
    JSON = "JSON"
    ENUM = "ENUM"
    LIST = "LIST"
    TEXT = "TEXT"


@strawberry.type
class MetadataEndpointField:
    key: str
    label: str
    required: bool
    value_type: MetadataEndpointFieldValueType
    description: str | None
    placeholder: str | None
    default_value: str | None
    advanced: bool | None
    sensitive: bool | None
    choices: list[str]

    @classmethod
    def of(cls, field: TemplateField) -> Self:
        return cls(
            key=field.key,
            label=field.label,
            required=field.required,
            value_type=MetadataEndpointFieldValueType(field.value_type),
            description=field.description,
            placeholder=None,
            default_value=field.default_value,
            advanced=not field.required and not field.sensitive,
            sensitive=field.sensitive,
            choices=list(field.choices),
        )


@strawberry.type
class MetadataEndpointCapability:
    key: str
    label: str
    description: str | None = None


@strawberry.type
class MetadataEndpointTemplate:
    id: ID
    family: MetadataEndpointFamily
    title: str
    vendor: str
    description: str | None
    domain: str | None
    categories: list[str]
    protocols: list[str]
    versions: list[str]
    default_port: int | None
    driver: str | None
    docs_url: str | None
    default_labels: list[str] | None
    fields: list[MetadataEndpointField]
    capabilities: list[MetadataEndpointCapability]
    sample_config: JSON | None
    extras: JSON | None

    @classmethod
    def of(cls, template: Template) -> Self:
        return cls(
            id=ID(template.template_id),
            family=MetadataEndpointFamily(template.family),
            title=template.title,
            vendor=template.vendor,
            description=template.description or None,
            domain=None,
            categories=[template.role],
            protocols=[template.family.lower()],
            versions=[],
            default_port=template.default_port,
            driver=template.template_id,
            docs_url=template.docs_url,
            default_labels=None,
            fields=[MetadataEndpointField.of(field) for field in template.fields],
            capabilities=[
                MetadataEndpointCapability(key=name, label=name.replace("_", " ").capitalize())
                for name in template.capabilities
            ],
            sample_config=json_document(dict(template.sample_config)) if template.sample_config else None,
            extras=None,
        )


@strawberry.input
class EndpointInput:
    """The template is `templateId`, or `config.templateId`; its fields are `config.parameters`, or the rest of `config`."""

    project_slug: str | None = None
    source_id: str | None = None
    name: str
    description: str | None = None
    verb: str
    url: str | None = None
    auth_policy: str | None = None
    domain: str | None = None
    labels: list[str] | None = None
    config: JSON | None = None
    capabilities: list[str] | None = None
    template_id: str | None = None


@strawberry.input
class EndpointPatch:
    """Changes the given fields of `config`; null removes one. Secrets that are not given stay."""

    name: str | None = None
    description: str | None = None
    verb: str | None = None
    url: str | None = None
    auth_policy: str | None = None
    domain: str | None = None
    labels: list[str] | None = None
    config: JSON | None = None
    capabilities: list[str] | None = None


@strawberry.input
class TestEndpointInput:
    __test__ = False

    template_id: str
    type: str
    connection: JSON
    capabilities: list[str] | None = None


@strawberry.type
class Diagnostic:
    level: str
    code: str
    message: str
    hint: str | None


@strawberry.type
class TestResult:
    __test__ = False

    ok: bool
    diagnostics: list[Diagnostic]

    @classmethod
    def of(cls, report: ConnectionReport) -> Self:
        diagnostics = [Diagnostic(**diagnostic.model_dump()) for diagnostic in report.diagnostics]
        return cls(ok=report.ok, diagnostics=diagnostics)
