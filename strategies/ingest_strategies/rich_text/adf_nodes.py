"""What becomes of each node and mark of the Atlassian Document Format. `docs/text.md` is generated from these tables.

https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
"""

from ingest_strategies.rich_text.document import Mark

MARKS: dict[str, Mark] = {"strong": "strong", "em": "em", "strike": "strike", "code": "code"}
"""`link` becomes a link; the marks of `APPEARANCE`, and unknown ones, change nothing."""

CONTAINERS = frozenset(
    [
        "doc",
        "paragraph",
        "listItem",
        "layoutSection",
        "layoutColumn",
        "mediaSingle",
        "mediaGroup",
        "bodiedExtension",
        "multiBodiedExtension",
        "extensionFrame",
        "bodiedSyncBlock",
        "caption",
        "tableCell",
        "tableHeader",
        "blockTaskItem",
        "decisionItem",
        "taskItem",
    ]
)
"""Nodes that stand in lines of their own; their content is converted."""

QUOTES = frozenset({"blockquote", "panel"})
EXPANDS = frozenset({"expand", "nestedExpand"})
LISTS = frozenset({"bulletList", "orderedList", "taskList", "decisionList"})
INLINE = frozenset(
    [
        "text",
        "hardBreak",
        "mention",
        "emoji",
        "date",
        "status",
        "inlineCard",
        "mediaInline",
        "inlineExtension",
        "placeholder",
        "confluenceUnsupportedInline",
        "unsupportedInline",
        "confluenceJiraIssue",
    ]
)
"""Nodes inside a line. An unknown node is one of them where it stands beside them, or has text and no content."""

LINES = frozenset({"paragraph", "heading", "caption", "taskItem", "decisionItem"})
"""Nodes whose content stands in one line."""

TEXT_ATTRIBUTES = ("text", "issueKey", "shortName", "title", "label", "alt", "url", "key", "extensionKey")
"""A node without text or content becomes the first of these attributes that it has."""

LABEL_ATTRIBUTES = ("text", "title", "issueKey")
"""What a node with content may say beside it: the text of an extension with a body."""

APPEARANCE = frozenset(
    [
        "alignment",
        "annotation",
        "backgroundColor",
        "border",
        "breakout",
        "dataConsumer",
        "fontSize",
        "fragment",
        "indentation",
        "subsup",
        "textColor",
        "underline",
    ]
)
"""Marks that say only how a text looks or where else it is used."""
