"""The columns that several datasets of Confluence share."""

from dataclasses import dataclass
from typing import Literal

from ingest_ray.sdk.types import Column
from ingest_strategies.atlassian.tables import PAYLOAD as PAYLOAD_COLUMN
from ingest_strategies.atlassian.tables import Table

BODY = PAYLOAD_COLUMN

_ARROW = {
    "text": ("string", None),
    "json": ("string", "json"),
    "int": ("int64", None),
    "bool": ("bool", None),
    "instant": ("timestamp[us, UTC]", None),
    "texts": ("list<string>", None),
}


@dataclass(frozen=True)
class ContentColumn:
    name: str
    kind: str = "text"
    nullable: bool = True
    description: str | None = None

    def as_column(self) -> Column:
        arrow, logical = _ARROW[self.kind]
        return Column(
            name=self.name,
            source_type=self.kind,
            arrow=arrow,
            nullable=self.nullable,
            logical=logical,
            description=self.description,
        )


@dataclass(frozen=True)
class ContentTable(Table[ContentColumn]):
    """`content`: the CQL types that its rows come from; empty: the rows are not found by search, but in lists of each space or of the
    whole site (`extent`), which every run reads from the start."""

    content: tuple[str, ...] = ()
    extent: Literal["space", "site"] = "site"
    is_cloud_only: bool = False


def required(name: str, kind: str = "text", description: str | None = None) -> ContentColumn:
    return ContentColumn(name, kind, nullable=False, description=description)


SPACE = (ContentColumn("space_id"), required("space_key"))
PAGE = (
    required("page_id", description="of the page or blog post"),
    ContentColumn("page_type", description="page or blogpost"),
)
VERSION = (required("version", "int"), ContentColumn("version_message"), ContentColumn("minor_edit", "bool"))
TEXT = (
    ContentColumn("body", description="storage format, untouched; the view format where `body_format` says so"),
    ContentColumn(
        "body_format", description="storage, or view where the source cannot give the storage format; NULL: no body"
    ),
    ContentColumn("body_fault", description="why the body is not in the storage format"),
)
ACL = (
    ContentColumn(
        "readers", "texts", description="effective: user:<id>, group:<id>; NULL: not requested (endpoint's `acl`)"
    ),
    ContentColumn(
        "acl", "json", description="the levels that a reader must pass, all of them: space, ancestors, the page"
    ),
)
PAYLOAD = ContentColumn(BODY, "json", nullable=False, description="the untouched object, without its body")
