"""The datasets of Confluence that search finds, and their columns. `payload` is the untouched object without its body, which has columns of
its own. `listed_tables.py` has those that are listed.

Keys are the content's ids, which stay when it is moved, renamed, trashed or restored. `status` is `current`, `archived` or `trashed`;
purged content is found by a key scan only.
"""

from ingest_strategies.confluence.columns import (
    ACL,
    BODY,
    PAGE,
    PAYLOAD,
    SPACE,
    TEXT,
    VERSION,
    ContentColumn,
    ContentTable,
    required,
)
from ingest_strategies.confluence.listed_tables import LISTED

SPACES = ContentTable(
    name="confluence.space",
    kind="space",
    title="Spaces",
    models=("cdm.doc.space",),
    columns=(
        required("id"),
        required("key"),
        ContentColumn("name"),
        ContentColumn("type", description="global or personal"),
        ContentColumn("status", description="current or archived"),
        ContentColumn("description"),
        ContentColumn("homepage_id"),
        ContentColumn("author_id"),
        ContentColumn("created_at", "instant"),
        ContentColumn("web_url"),
        PAYLOAD,
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
        required("id"),
        required("type", description="page or blogpost"),
        required("status", description="current, archived or trashed"),
        *SPACE,
        ContentColumn("title"),
        ContentColumn("parent_id", description="NULL at the top; not always a page: see `parent_type`"),
        ContentColumn("parent_type", description="page, folder, whiteboard, database, embed"),
        ContentColumn("position", "int"),
        ContentColumn("created_at", "instant"),
        required("modified_at", "instant", "when the current version was made"),
        ContentColumn("author_id"),
        ContentColumn("editor_id", description="author of the current version"),
        ContentColumn("owner_id"),
        *VERSION,
        ContentColumn("labels", "texts", description="names of its labels"),
        ContentColumn("web_url", description="what a person opens"),
        *TEXT,
        *ACL,
        PAYLOAD,
    ),
)
COMMENTS = ContentTable(
    name="confluence.comment",
    kind="comment",
    title="Comments",
    cursor="modified_at",
    content=("comment",),
    models=("cdm.doc.comment",),
    columns=(
        required("id"),
        *PAGE,
        *SPACE,
        ContentColumn("parent_id", description="the comment that it answers"),
        ContentColumn("location", description="footer or inline"),
        ContentColumn("resolution", description="of inline comments: open or resolved"),
        required("status"),
        ContentColumn("title"),
        ContentColumn("created_at", "instant"),
        required("modified_at", "instant"),
        ContentColumn("author_id"),
        ContentColumn("editor_id"),
        required("version", "int"),
        ContentColumn("web_url"),
        *TEXT,
        *ACL,
        PAYLOAD,
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
        required("id", description="such as att123; the same in every version"),
        *PAGE,
        *SPACE,
        ContentColumn("title", description="the file's name"),
        ContentColumn("media_type"),
        ContentColumn("file_size", "int"),
        required("status"),
        ContentColumn("comment"),
        ContentColumn("created_at", "instant"),
        required("modified_at", "instant"),
        ContentColumn("author_id"),
        ContentColumn("editor_id"),
        required("version", "int"),
        ContentColumn("web_url", description="what a person opens"),
        ContentColumn("download_url"),
        ContentColumn("object_uri", description="where its bytes are; NULL: not requested, or see `object_fault`"),
        ContentColumn("sha256", description="of the bytes, as 64 hexadecimal digits"),
        ContentColumn("object_fault", description="why the requested bytes are missing"),
        *ACL,
        PAYLOAD,
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
        *PAGE,
        *SPACE,
        required("label_id"),
        required("name"),
        ContentColumn("prefix", description="global, my or team"),
        required("page_modified_at", "instant"),
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
        *PAGE,
        *SPACE,
        *VERSION,
        ContentColumn("author_id"),
        ContentColumn("created_at", "instant"),
        required("page_modified_at", "instant"),
        PAYLOAD,
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
        required("content_id"),
        ContentColumn("content_type"),
        *SPACE,
        required("is_restricted", "bool", "a page restriction, its own or an ancestor's, narrows the space's readers"),
        required("readers", "texts", "effective: user:<id>, group:<id>, anyone; those who pass every level of `acl`"),
        required("acl", "json", "levels, top down: [{source_type, source_id, readers}]"),
        required("read_at", "instant", "a whole row replaces the row before: access that was revoked goes with it"),
    ),
)
ATTACHMENT_ACLS = ContentTable(
    name="confluence.attachment_acl",
    kind="attachment_acl",
    title="Who may read each attachment",
    key=("content_id",),
    cursor="read_at",
    is_reread=True,
    content=("attachment",),
    models=("cdm.doc.access",),
    columns=ACLS.columns,
)
LIKES = ContentTable(
    name="confluence.like",
    kind="like",
    title="Who likes each page and blog post",
    key=("page_id", "account_id"),
    content=("page", "blogpost"),
    is_cloud_only=True,
    columns=(*PAGE, *SPACE, required("account_id"), PAYLOAD),
)

_SEARCHED = (SPACES, PAGES, COMMENTS, ATTACHMENTS, LABELS, REVISIONS, ACLS, ATTACHMENT_ACLS, LIKES)
TABLES: dict[str, ContentTable] = {table.name: table for table in (*_SEARCHED, *LISTED)}
ACCESS = (ACLS.name, ATTACHMENT_ACLS.name)
"""Of these every run reads all: restrictions have no time of change."""
__all__ = ["BODY", "ContentColumn", "ContentTable"]
