"""The words that a reader of rich text sees: found with other parsers than the product's, and in Markdown with a CommonMark parser."""

import re
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from typing import Any

from markdown_it import MarkdownIt

_WORD = re.compile(r"[^\W_]+")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_HIDDEN = frozenset(
    [
        "ac:parameter",
        "ac:placeholder",
        "ac:task-id",
        "ac:task-uuid",
        "ac:task-status",
        "ac:adf-attribute",
        "ac:adf-mark",
        "ac:adf-fragment-mark",
        "script",
        "style",
    ]
)
_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def words_of(text: str) -> set[str]:
    return set(_WORD.findall(text))


def storage_words(body: str) -> set[str]:
    reader = _VisibleText()
    reader.feed(_CDATA.sub(lambda match: escape(match[1]), body))
    reader.close()
    return words_of(" ".join(reader.parts))


class _VisibleText(HTMLParser):
    """The text between tags, without hidden elements, and the attributes that a page shows."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _HIDDEN
        self._note_attributes(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note_attributes(attrs)

    def _note_attributes(self, attrs: list[tuple[str, str | None]]) -> None:
        shown = ("ac:alt", "ri:filename")
        if not self._hidden:
            self.parts += [value for name, value in attrs if name in shown and value]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _HIDDEN

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def adf_words(document: Any) -> set[str]:
    return words_of(" ".join(_adf_texts(document)))


def _adf_texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        text = node.get("text")
        if isinstance(text, str):
            yield text
        attrs = node.get("attrs")
        if node.get("type") != "text" and isinstance(attrs, dict):
            yield from (attrs[name] for name in ("text", "issueKey", "title") if isinstance(attrs.get(name), str))
        yield from _adf_texts(node.get("content"))
    elif isinstance(node, list):
        for each in node:
            yield from _adf_texts(each)


_WIKI_TAG = re.compile(r"\{(?:color|panel|code|noformat|anchor|quote|toc)(?::[^}\n]*)?\}|accountid:")
_IMAGE_OPTIONS = re.compile(r"\|[^!|\n]*!")
_LINE_SIGN = re.compile(r"^\s*(?:h[1-6]\.|bq\.)", re.MULTILINE)
_LINK_OPTION = re.compile(r"\|smart-\w+\]")


_HTML = re.compile(r"\{html\}(.*?)\{html\}", re.DOTALL)
_HTML_TAG = re.compile(r"<[^<>]*>")


def wiki_words(text: str) -> set[str]:
    """Without the names of tags and how an image is shown."""
    text = _HTML.sub(lambda match: _HTML_TAG.sub(" ", match[1]), text)
    text = _LINE_SIGN.sub(" ", _WIKI_TAG.sub(" ", text))
    return words_of(_LINK_OPTION.sub("]", _IMAGE_OPTIONS.sub("!", text)))


def shown_words(markdown: str) -> set[str]:
    """The words that a page made from the Markdown shows, and those of its links' targets."""
    html = _MARKDOWN.render(markdown)
    reader = _ShownText()
    reader.feed(html)
    reader.close()
    return words_of(" ".join(reader.parts))


class _ShownText(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts += [value for name, value in attrs if name in ("href", "src", "alt", "title") and value]
        self.parts.append(" " if tag in ("br", "td", "th", "p", "li", "pre") else "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
