"""The description of a family of endpoints: its configuration and its capabilities."""

from __future__ import annotations  # so that importing a contract does not import pyarrow

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, JsonValue


@dataclass(frozen=True)
class Addresses:
    """How an endpoint of a template is written in one text, for `ingest-ray copy`: a URL or the path of a file or folder.

    `field`: of the configuration, which takes the text. `is_path`: it takes a path, not a URL. `suffixes`: of files, with the dot; an
    empty one stands for paths without a suffix. `file_form`: what the field takes for the path of a file.
    """

    schemes: tuple[str, ...] = ()
    field: str = "url"
    is_path: bool = False
    suffixes: tuple[str, ...] = ()
    file_form: str = "{path}"


@dataclass(frozen=True)
class Descriptor:
    """The configuration and the capabilities of a family of endpoints.

    `config_model` is a pydantic model; its `SecretStr` fields are secrets: stored encrypted or as references, and
    shown nowhere.
    """

    template: str
    family: Literal["JDBC", "HTTP", "STREAM"]
    title: str
    vendor: str
    config_model: type[BaseModel]
    description: str = ""
    capabilities: tuple[str, ...] = ()
    docs_url: str | None = None
    default_port: int | None = None
    sample_config: Mapping[str, JsonValue] = field(default_factory=dict)
    address_fields: tuple[str, ...] = ()
    """Fields, besides those whose names say so (`host`, `base_url`, `proxy`, `verify_tls`, ...), that decide where secrets are sent or how
    they are protected on the way: a caller of the service who changes one must give the secrets again."""
    location_fields: tuple[str, ...] = ()
    """Of a sink: fields of the configuration that say where its rows are; of a mapping of options, those that name an endpoint or an
    account count. A checkpoint belongs to one location. None: changes of the location are not noticed."""
    supported_cdm_models: tuple[str, ...] = ()
    """Of a sink: exact ids, or all of a family (`cdm.work.*`)."""
    addresses: Addresses | None = None
    """None: `ingest-ray copy` does not offer the template."""
