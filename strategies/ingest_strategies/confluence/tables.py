"""The datasets and their columns. `payload` is the object as it came, less the body that has columns of its own.

Keys are the content's ids, which stay when it is moved, renamed, trashed or restored. `status` says what became of it:
`current`, `archived` or `trashed`; what is purged leaves nothing and is found by a census.
"""

from dataclasses import dataclass

from ingest_ray.sdk.types import Column

BODY = "payload"

_ARROW = {
    "text": ("string", None),
    "json": ("string", "json"),
    "int": ("int64", None),
    "bool": ("bool", None),
    "instant": ("timestamp[us, UTC]", None),
    "texts": ("list<string>", None),
}


@dataclass(frozen=True)
class Part:
    column: str
    kind: str = "text"
    nullable: bool = True
    description: str | None = None

    def as_column(self) -> Column:
        arrow, logical = _ARROW[self.kind]
        return Column(
            name=self.column,
            source_type=self.kind,
            arrow=arrow,
            nullable=self.nullable,
            logical=logical,
            description=self.description,
        )


@dataclass(frozen=True)
class Table:
    """`content`: the CQL types that its rows are made of; none: the rows are not found by search."""

    name: str
    kind: str
    title: str
    parts: tuple[Part, ...]
    key: tuple[str, ...] = ("id",)
    cursor: str | None = None
    content: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def _must(column: str, kind: str = "text", description: str | None = None) -> Part:
    return Part(column, kind, nullable=False, description=description)


_SPACE = (Part("space_id"), _must("space_key"))
_PAGE = (_must("page_id", description="of the page or blog post"), Part("page_type", description="page or blogpost"))
_VERSION = (_must("version", "int"), Part("version_message"), Part("minor_edit", "bool"))
_TEXT = (
    Part("body", description="storage format, untouched; the view format where `body_format` says so"),
    Part("body_format", description="storage, or view where the source cannot give the storage format; NULL: no body"),
    Part("body_fault", description="why the body is not in the storage format"),
)
_ACL = (
    Part("readers", "texts", description="effective: user:<id>, group:<id>; NULL: not asked for (endpoint's `acl`)"),
    Part("acl", "json", description="the levels that a reader must pass, all of them: space, ancestors, the page"),
)
_PAYLOAD = Part(BODY, "json", nullable=False, description="the object as it came, without its body")

SPACES = Table(
    name="confluence.space",
    kind="space",
    title="Spaces",
    models=("cdm.doc.space",),
    parts=(
        _must("id"),
        _must("key"),
        Part("name"),
        Part("type", description="global or personal"),
        Part("status", description="current or archived"),
        Part("description"),
        Part("homepage_id"),
        Part("author_id"),
        Part("created_at", "instant"),
        Part("web_url"),
        _PAYLOAD,
    ),
)
PAGES = Table(
    name="confluence.page",
    kind="page",
    title="Pages and blog posts",
    cursor="modified_at",
    content=("page", "blogpost"),
    models=("cdm.doc.item", "cdm.doc.revision", "cdm.doc.link"),
    parts=(
        _must("id"),
        _must("type", description="page or blogpost"),
        _must("status", description="current, archived or trashed"),
        *_SPACE,
        Part("title"),
        Part("parent_id", description="NULL at the top; not always a page: see `parent_type`"),
        Part("parent_type", description="page, folder, whiteboard, database, embed"),
        Part("position", "int"),
        Part("created_at", "instant"),
        _must("modified_at", "instant", "when the current version was made"),
        Part("author_id"),
        Part("editor_id", description="author of the current version"),
        Part("owner_id"),
        *_VERSION,
        Part("labels", "texts", description="names of its labels"),
        Part("web_url", description="what a person opens"),
        *_TEXT,
        *_ACL,
        _PAYLOAD,
    ),
)
COMMENTS = Table(
    name="confluence.comment",
    kind="comment",
    title="Comments",
    cursor="modified_at",
    content=("comment",),
    parts=(
        _must("id"),
        *_PAGE,
        *_SPACE,
        Part("parent_id", description="the comment that it answers"),
        Part("location", description="footer or inline"),
        Part("resolution", description="of inline comments: open or resolved"),
        _must("status"),
        Part("title"),
        Part("created_at", "instant"),
        _must("modified_at", "instant"),
        Part("author_id"),
        Part("editor_id"),
        _must("version", "int"),
        Part("web_url"),
        *_TEXT,
        *_ACL,
        _PAYLOAD,
    ),
)
ATTACHMENTS = Table(
    name="confluence.attachment",
    kind="attachment",
    title="Attachments",
    cursor="modified_at",
    content=("attachment",),
    models=("cdm.doc.link", "cdm.doc.item"),
    parts=(
        _must("id", description="such as att123; the same in every version"),
        *_PAGE,
        *_SPACE,
        Part("title", description="the file's name"),
        Part("media_type"),
        Part("file_size", "int"),
        _must("status"),
        Part("comment"),
        Part("created_at", "instant"),
        _must("modified_at", "instant"),
        Part("author_id"),
        Part("editor_id"),
        _must("version", "int"),
        Part("web_url", description="what a person opens"),
        Part("download_url"),
        Part("object_uri", description="where its bytes are; NULL: not asked for, or see `object_fault`"),
        Part("sha256", description="of the bytes, as 64 hexadecimal digits"),
        Part("object_fault", description="why the bytes that were asked for are not there"),
        *_ACL,
        _PAYLOAD,
    ),
)
LABELS = Table(
    name="confluence.label",
    kind="label",
    title="Labels of pages and blog posts",
    key=("page_id", "label_id"),
    cursor="page_modified_at",
    content=("page", "blogpost"),
    parts=(
        *_PAGE,
        *_SPACE,
        _must("label_id"),
        _must("name"),
        Part("prefix", description="global, my or team"),
        _must("page_modified_at", "instant"),
    ),
)
REVISIONS = Table(
    name="confluence.revision",
    kind="revision",
    title="Versions of pages and blog posts",
    key=("page_id", "version"),
    cursor="page_modified_at",
    content=("page", "blogpost"),
    models=("cdm.doc.revision",),
    parts=(
        *_PAGE,
        *_SPACE,
        *_VERSION,
        Part("author_id"),
        Part("created_at", "instant"),
        _must("page_modified_at", "instant"),
        _PAYLOAD,
    ),
)
ACLS = Table(
    name="confluence.acl",
    kind="acl",
    title="Who may read each page and blog post",
    key=("content_id",),
    cursor="read_at",
    content=("page", "blogpost"),
    models=("cdm.doc.access",),
    parts=(
        _must("content_id"),
        Part("content_type"),
        *_SPACE,
        _must("is_restricted", "bool", "a page restriction, its own or an ancestor's, narrows the space's readers"),
        _must("readers", "texts", "effective: user:<id>, group:<id>, anyone; whoever passes every level of `acl`"),
        _must("acl", "json", "levels, top down: [{source_type, source_id, readers}]"),
        _must("read_at", "instant", "a whole row replaces the row before: access that was revoked goes with it"),
    ),
)

TABLES = {table.name: table for table in (SPACES, PAGES, COMMENTS, ATTACHMENTS, LABELS, REVISIONS, ACLS)}
