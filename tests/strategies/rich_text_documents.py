"""Generated documents of the three formats, with the whole vocabulary that the converters know, and what they do not know."""

from html import escape
from typing import Any

from hypothesis import strategies as st

from ingest_strategies.rich_text.adf_nodes import EXPANDS, LISTS, QUOTES
from ingest_strategies.rich_text.adf_nodes import MARKS as ADF_MARKS
from ingest_strategies.rich_text.storage_names import BREAKS, EMOTICONS, MARKS
from ingest_strategies.rich_text.storage_names import QUOTES as QUOTE_MACROS

WORDS = st.lists(
    st.sampled_from(
        [
            "word",
            "Zoë",
            "数据",
            "a_b",
            "__init__",
            "*star*",
            "<tag>",
            "Map<K,V>",
            "&",
            "&amp;",
            "[x]",
            "(y)",
            "#",
            "-",
            "1.",
            "2)",
            "`tick`",
            "~~no~~",
            "|",
            "||",
            "!",
            "!now",
            "\\",
            "\\n",
            ">",
            "=",
            "---",
            "+",
            "{a}",
            "https://host/a_b_c?x=1&y=2",
            "C:\\dir",
            "x^2",
            "$1",
        ]
    ),
    min_size=1,
    max_size=6,
).map(" ".join)


def storage_bodies() -> st.SearchStrategy[str]:
    inline = st.recursive(_storage_leaves(), _storage_inline, max_leaves=4)
    block = st.recursive(
        st.lists(inline, min_size=1, max_size=3).map(lambda parts: f"<p>{''.join(parts)}</p>"),
        _storage_blocks,
        max_leaves=6,
    )
    return st.lists(block | inline, min_size=1, max_size=4).map("".join)


def _storage_leaves() -> st.SearchStrategy[str]:
    text = WORDS.map(lambda words: f" {escape(words)} ")
    return st.one_of(
        text,
        WORDS.map(
            lambda words: (
                f' <ac:image ac:alt="{escape(words)}"><ri:attachment ri:filename="a.png"/><ac:caption><p>{escape(words)}</p></ac:caption></ac:image> '
            )
        ),
        WORDS.map(
            lambda words: (
                f'<ac:link><ri:page ri:content-title="t"/><ac:link-body> {escape(words)} </ac:link-body></ac:link>'
            )
        ),
        WORDS.map(lambda words: f'<a href="https://host/x y"> {escape(words)} </a>'),
        st.sampled_from(sorted(EMOTICONS)).map(lambda name: f'<ac:emoticon ac:name="{name}"/>'),
        st.just("<br/>"),
    )


def _storage_inline(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    tags = st.sampled_from([*sorted(MARKS), "span", "u", "sup", "ac:inline-comment-marker", "future-element"])
    return st.builds(lambda tag, text: f"<{tag}>{text}</{tag}>", tags, inner)


def _storage_blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    containers = st.sampled_from(sorted(BREAKS - {"html", "body", "ac:adf-extension", "p"}))
    macros = st.sampled_from([*sorted(QUOTE_MACROS), "details", "future-macro"])
    elements = st.sampled_from(["structured-macro", "macro"])
    two = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(
            lambda tag, text: f"<{tag}>{text}</{tag}>", containers | st.sampled_from(["blockquote", "h2"]), inner
        ),
        st.builds(
            lambda element, name, text: (
                f'<ac:{element} ac:name="{name}"><ac:rich-text-body>{text}</ac:rich-text-body></ac:{element}>'
            ),
            elements,
            macros,
            inner,
        ),
        WORDS.map(
            lambda words: (
                f'<ac:structured-macro ac:name="code"><ac:plain-text-body><![CDATA[{words}]]></ac:plain-text-body></ac:structured-macro>'
            )
        ),
        st.builds(
            lambda tag, items: f"<{tag}>{''.join(f'<li>{item}</li>' for item in items)}</{tag}>",
            st.sampled_from(["ul", "ol"]),
            two,
        ),
        two.map(
            lambda items: (
                f"<ac:task-list>{''.join(f'<ac:task><ac:task-id>7</ac:task-id><ac:task-status>complete</ac:task-status><ac:task-body>{item}</ac:task-body></ac:task>' for item in items)}</ac:task-list>"
            )
        ),
        st.builds(
            lambda head, cells, span: (
                f"<table><tbody><tr><th>{head}</th></tr><tr>{''.join(f'<td {span}>{cell}</td>' for cell in cells)}</tr></tbody></table>"
            ),
            inner,
            two,
            st.sampled_from(['rowspan="2"', 'colspan="3"', ""]),
        ),
    )


Node = dict[str, Any]
LABELLED = ("bodiedExtension", "futureBlock")


def adf_documents() -> st.SearchStrategy[Node]:
    block = st.recursive(_adf_paragraphs(), _adf_blocks, max_leaves=6)
    return st.lists(block, min_size=1, max_size=4).map(
        lambda content: {"type": "doc", "version": 1, "content": content}
    )


def _adf_paragraphs() -> st.SearchStrategy[Node]:
    marks = st.lists(st.sampled_from([*sorted(ADF_MARKS), "underline"]), max_size=2, unique=True).map(
        lambda kinds: [{"type": kind} for kind in kinds]
    )
    link = st.just([{"type": "link", "attrs": {"href": "https://host/x"}}])
    text = st.builds(lambda words, kinds: {"type": "text", "text": f" {words} ", "marks": kinds}, WORDS, marks | link)
    attributes = st.sampled_from(["mention", "status", "emoji", "placeholder", "inlineExtension", "futureInline"])
    leaf = st.builds(lambda kind, words: {"type": kind, "attrs": {"text": f" {words} "}}, attributes, WORDS)
    card = st.just({"type": "confluenceJiraIssue", "attrs": {"issueKey": "AB-12"}})
    inline = st.one_of(text, leaf, card, st.just({"type": "hardBreak"}))
    kinds = st.sampled_from(["paragraph", "heading", "caption"])
    return st.builds(
        lambda kind, content: {"type": kind, "content": content}, kinds, st.lists(inline, min_size=1, max_size=4)
    )


def _adf_blocks(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    some = st.lists(inner, min_size=1, max_size=3)
    kinds = st.sampled_from(
        [*sorted(QUOTES | EXPANDS), "layoutSection", "bodiedExtension", "futureBlock", "decisionItem"]
    )
    items = st.sampled_from(["listItem", "taskItem", "decisionItem"])
    cells = st.sampled_from(["tableCell", "tableHeader"])
    spans = st.sampled_from([{}, {"rowspan": 2}, {"colspan": 3}])
    return st.one_of(
        st.builds(
            lambda kind, content, words: {
                "type": kind,
                "attrs": {"title": words} if kind in EXPANDS else {"text": words} if kind in LABELLED else {},
                "content": content,
            },
            kinds,
            some,
            WORDS,
        ),
        st.builds(
            lambda kind, item, content: {
                "type": kind,
                "content": [{"type": item, "content": [node]} for node in content],
            },
            st.sampled_from(sorted(LISTS)),
            items,
            some,
        ),
        st.builds(
            lambda cell, span, content: {
                "type": "table",
                "content": [
                    {
                        "type": "tableRow",
                        "content": [{"type": cell, "attrs": span, "content": [node]} for node in content],
                    }
                ]
                * 2,
            },
            cells,
            spans,
            some,
        ),
        WORDS.map(lambda words: {"type": "codeBlock", "content": [{"type": "text", "text": words}]}),
        WORDS.map(lambda words: {"type": "extension", "attrs": {"extensionKey": "k", "text": words}}),
    )


def wiki_texts() -> st.SearchStrategy[str]:
    words = WORDS
    inline = st.one_of(
        words,
        words.map(lambda text: f"*{text}*"),
        words.map(lambda text: f"_{text}_"),
        words.map(lambda text: "{{" + text + "}}"),
        words.map(lambda text: "{color:red}" + text + "{color}"),
        words.map(lambda text: "w {*}" + text + "{*} w"),
        st.sampled_from(
            ["[text|https://host/a_b]", "[https://host/]", "[~ann]", "[^log.txt]", "!pic.png|thumbnail!", "[brackets]"]
        ),
    )
    line = st.one_of(
        inline,
        st.builds(
            lambda sign, text: f"{sign} {text}", st.sampled_from(["*", "**", "#", "#*", "-", "h2.", "bq."]), inline
        ),
        st.lists(inline, min_size=1, max_size=3).map(lambda cells: f"|{'|'.join(cells)}|"),
        st.lists(words, min_size=1, max_size=3).map(lambda cells: f"||{'||'.join(cells)}||"),
        words.map(lambda text: "{code:java|title=Some}" + text + "{code}"),
        words.map(lambda text: "{quote}" + text + "{quote}"),
        words.map(lambda text: "{panel:title=Note}\n" + text + "\n{panel}"),
        st.sampled_from(["", "----", "{noformat}", "{quote}"]),
    )
    return st.lists(line, min_size=1, max_size=8).map("\n".join)
