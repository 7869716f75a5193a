"""The datasets of Confluence and their columns. `payload` is the untouched object without its body, which has columns of its own.

Keys are the content's ids, which stay when it is moved, renamed, trashed or restored. `status` is `current`, `archived` or `trashed`;
purged content is found by a key scan only.
"""

from dataclasses import dataclass

from ingest_ray.sdk.types import Column
from ingest_strategies.atlassian.tables import PAYLOAD, Table

BODY = PAYLOAD

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
    """`content`: the CQL types that its rows come from; empty: the rows are not found by search."""

    content: tuple[str, ...] = ()


def _required(name: str, kind: str = "text", description: str | None = None) -> ContentColumn:
    return ContentColumn(name, kind, nullable=False, description=description)


_SPACE = (ContentColumn("space_id"), _required("space_key"))
_PAGE = (
    _required("page_id", description="of the page or blog post"),
    ContentColumn("page_type", description="page or blogpost"),
)
_VERSION = (_required("version", "int"), ContentColumn("version_message"), ContentColumn("minor_edit", "bool"))
_TEXT = (
    ContentColumn("body", description="storage format, untouched; the view format where `body_format` says so"),
    ContentColumn(
        "body_format", description="storage, or view where the source cannot give the storage format; NULL: no body"
    ),
    ContentColumn("body_fault", description="why the body is not in the storage format"),
)
_ACL = (
    ContentColumn(
        "readers", "texts", description="effective: user:<id>, group:<id>; NULL: not requested (endpoint's `acl`)"
    ),
    ContentColumn(
        "acl", "json", description="the levels that a reader must pass, all of them: space, ancestors, the page"
    ),
)
_PAYLOAD = ContentColumn(BODY, "json", nullable=False, description="the untouched object, without its body")

SPACES = ContentTable(
    name="confluence.space",
    kind="space",
    title="Spaces",
    models=("cdm.doc.space",),
    columns=(
        _required("id"),
        _required("key"),
        ContentColumn("name"),
        ContentColumn("type", description="global or personal"),
        ContentColumn("status", description="current or archived"),
        ContentColumn("description"),
        ContentColumn("homepage_id"),
        ContentColumn("author_id"),
        ContentColumn("created_at", "instant"),
        ContentColumn("web_url"),
        _PAYLOAD,
    ),
)
PAGES = ContentTable(
    name="confluence.page",
    kind="page",
    title="Pages and blog posts",
    cursor="modified_at",
    content=("page", "blogpost"),
    models=("cdm.doc.item", "cdm.doc.revision", "cdm.doc.link"),
    columns=(
        _required("id"),
        _required("type", description="page or blogpost"),
        _required("status", description="current, archived or trashed"),
        *_SPACE,
        ContentColumn("title"),
        ContentColumn("parent_id", description="NULL at the top; not always a page: see `parent_type`"),
        ContentColumn("parent_type", description="page, folder, whiteboard, database, embed"),
        ContentColumn("position", "int"),
        ContentColumn("created_at", "instant"),
        _required("modified_at", "instant", "when the current version was made"),
        ContentColumn("author_id"),
        ContentColumn("editor_id", description="author of the current version"),
        ContentColumn("owner_id"),
        *_VERSION,
        ContentColumn("labels", "texts", description="names of its labels"),
        ContentColumn("web_url", description="what a person opens"),
        *_TEXT,
        *_ACL,
        _PAYLOAD,
    ),
)
COMMENTS = ContentTable(
    name="confluence.comment",
    kind="comment",
    title="Comments",
    cursor="modified_at",
    content=("comment",),
    columns=(
        _required("id"),
        *_PAGE,
        *_SPACE,
        ContentColumn("parent_id", description="the comment that it answers"),
        ContentColumn("location", description="footer or inline"),
        ContentColumn("resolution", description="of inline comments: open or resolved"),
        _required("status"),
        ContentColumn("title"),
        ContentColumn("created_at", "instant"),
        _required("modified_at", "instant"),
        ContentColumn("author_id"),
        ContentColumn("editor_id"),
        _required("version", "int"),
        ContentColumn("web_url"),
        *_TEXT,
        *_ACL,
        _PAYLOAD,
    ),
)
ATTACHMENTS = ContentTable(
    name="confluence.attachment",
    kind="attachment",
    title="Attachments",
    cursor="modified_at",
    content=("attachment",),
    models=("cdm.doc.link", "cdm.doc.item"),
    columns=(
        _required("id", description="such as att123; the same in every version"),
        *_PAGE,
        *_SPACE,
        ContentColumn("title", description="the file's name"),
        ContentColumn("media_type"),
        ContentColumn("file_size", "int"),
        _required("status"),
        ContentColumn("comment"),
        ContentColumn("created_at", "instant"),
        _required("modified_at", "instant"),
        ContentColumn("author_id"),
        ContentColumn("editor_id"),
        _required("version", "int"),
        ContentColumn("web_url", description="what a person opens"),
        ContentColumn("download_url"),
        ContentColumn("object_uri", description="where its bytes are; NULL: not requested, or see `object_fault`"),
        ContentColumn("sha256", description="of the bytes, as 64 hexadecimal digits"),
        ContentColumn("object_fault", description="why the requested bytes are missing"),
        *_ACL,
        _PAYLOAD,
    ),
)
LABELS = ContentTable(
    name="confluence.label",
    kind="label",
    title="Labels of pages and blog posts",
    key=("page_id", "label_id"),
    cursor="page_modified_at",
    content=("page", "blogpost"),
    columns=(
        *_PAGE,
        *_SPACE,
        _required("label_id"),
        _required("name"),
        ContentColumn("prefix", description="global, my or team"),
        _required("page_modified_at", "instant"),
    ),
)
REVISIONS = ContentTable(
    name="confluence.revision",
    kind="revision",
    title="Versions of pages and blog posts",
    key=("page_id", "version"),
    cursor="page_modified_at",
    content=("page", "blogpost"),
    models=("cdm.doc.revision",),
    columns=(
        *_PAGE,
        *_SPACE,
        *_VERSION,
        ContentColumn("author_id"),
        ContentColumn("created_at", "instant"),
        _required("page_modified_at", "instant"),
        _PAYLOAD,
    ),
)
ACLS = ContentTable(
    name="confluence.acl",
    kind="acl",
    title="Who may read each page and blog post",
    key=("content_id",),
    cursor="read_at",
    is_reread=True,
    content=("page", "blogpost"),
    models=("cdm.doc.access",),
    columns=(
        _required("content_id"),
        ContentColumn("content_type"),
        *_SPACE,
        _required("is_restricted", "bool", "a page restriction, its own or an ancestor's, narrows the space's readers"),
        _required("readers", "texts", "effective: user:<id>, group:<id>, anyone; those who pass every level of `acl`"),
        _required("acl", "json", "levels, top down: [{source_type, source_id, readers}]"),
        _required("read_at", "instant", "a whole row replaces the row before: access that was revoked goes with it"),
    ),
)

TABLES = {table.name: table for table in (SPACES, PAGES, COMMENTS, ATTACHMENTS, LABELS, REVISIONS, ACLS)}
