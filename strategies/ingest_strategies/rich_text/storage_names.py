"""What becomes of each element and macro of Confluence's storage format. `docs/text.md` is generated from these tables.

https://confluence.atlassian.com/doc/confluence-storage-format-790796544.html,
https://confluence.atlassian.com/doc/macros-139387.html
"""

from ingest_strategies.rich_text.document import Mark

MARKS: dict[str, Mark] = {
    "strong": "strong",
    "b": "strong",
    "em": "em",
    "i": "em",
    "cite": "em",
    "dfn": "em",
    "var": "em",
    "s": "strike",
    "del": "strike",
    "strike": "strike",
    "code": "code",
    "tt": "code",
    "kbd": "code",
    "samp": "code",
}

BREAKS = frozenset(
    [
        "p",
        "div",
        "section",
        "article",
        "header",
        "footer",
        "main",
        "aside",
        "nav",
        "address",
        "figure",
        "figcaption",
        "center",
        "form",
        "fieldset",
        "legend",
        "details",
        "summary",
        "dl",
        "dt",
        "dd",
        "body",
        "html",
        "ac:layout",
        "ac:layout-section",
        "ac:layout-cell",
        "ac:rich-text-body",
        "ac:adf-extension",
        "ac:adf-fallback",
        "ac:adf-content",
        "ac:adf-node",
        "ac:caption",
    ]
)
"""Elements that stand in lines of their own; their content is converted."""

DROPPED = frozenset(
    [
        "ac:parameter",
        "ac:default-parameter",
        "ac:placeholder",
        "ac:task-id",
        "ac:task-uuid",
        "ac:task-status",
        "ac:adf-attribute",
        "ac:adf-parameter",
        "ac:adf-mark",
        "ac:adf-fragment-mark",
        "ac:adf-fragment-mark-detail",
        "ac:adf-parameter-value",
        "script",
        "style",
        "head",
        "template",
        "colgroup",
        "col",
    ]
)
"""Elements without visible text: settings, ids, states, instructions of a template."""

QUOTES = frozenset({"info", "note", "tip", "warning", "success", "error", "panel", "excerpt", "expand", "quote"})
"""Macros that become quotes. Other macros with a body become their content."""

SILENT = frozenset({"anchor", "toc", "toc-zone", "pagetree", "pagetreesearch", "livesearch", "create-from-template"})
"""Macros without words of their own: their parameters say only how a page looks."""

LABELS = {"status": ("title", "colour", "color"), "jira": ("key", "jqlQuery", "jql", "url"), "profile": ("user",)}
"""Macros without a body that become the first of these parameters, in brackets. Others become their name and all parameters."""

DISPLAY = frozenset(
    [
        "breakoutMode",
        "breakoutWidth",
        "atlassian-macro-output-type",
        "macro-id",
        "schema-version",
        "theme",
        "linenumbers",
        "firstline",
        "collapse",
        "colour",
        "color",
        "bgColor",
        "titleBGColor",
        "titleColor",
        "borderStyle",
        "borderColor",
        "borderWidth",
        "icon",
        "width",
        "height",
        "border",
        "align",
        "style",
        "class",
        "outline",
        "serverId",
        "server",
        "maximumIssues",
        "columns",
        "columnIds",
    ]
)
"""Parameters that say only how a macro looks."""

EMOTICONS = {
    "smile": "🙂",
    "sad": "🙁",
    "cheeky": "😛",
    "laugh": "😀",
    "wink": "😉",
    "thumbs-up": "👍",
    "thumbs-down": "👎",
    "information": "ℹ️",
    "tick": "✅",
    "cross": "❌",
    "warning": "⚠️",
    "plus": "➕",
    "minus": "➖",
    "question": "❓",
    "light-on": "💡",
    "light-off": "🔌",
    "yellow-star": "⭐",
    "red-star": "🌟",
    "green-star": "🌟",
    "blue-star": "🌟",
    "heart": "❤️",
    "broken-heart": "💔",
}
"""Emoticons without a fallback of their own. Others become their name between colons."""
