"""Parses Confluence's storage format: XHTML with the elements `ac:` and `ri:`, also where it is not well-formed.

https://confluence.atlassian.com/doc/confluence-storage-format-790796544.html. The parser is lxml's for XML, and for text that is no XML its
parser for HTML. CDATA sections become text first, because HTML has none.
"""

import html
import re
from collections.abc import Iterator

from lxml import etree

from ingest_strategies.rich_text.storage_names import DROPPED

MOST_CHARS = 20_000_000
"""Longer bodies are not parsed: they become plain text."""

_NAMESPACES = 'xmlns:ac="ac" xmlns:ri="ri" xmlns:at="at"'
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)([A-Za-z][A-Za-z0-9]{0,31};)?")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = re.compile(r"<[/?]?[A-Za-z][^<>]*>")
_REFERENCE = re.compile(r"&#(\d{1,7}|x[0-9a-fA-F]{1,6});")
_CLARK = re.compile(r"\{(ac|ri|at)\}")


class TooDeep(Exception):
    """The elements of a body are nested deeper than the parser reads."""


def parse(body: str) -> etree._Element:
    """The element around the body.

    Raises:
        TooDeep: take `strip_tags` instead.
    """
    text = "".join(_segments(_NOT_XML.sub("", body)))
    if len(text) > MOST_CHARS:
        raise TooDeep
    try:
        parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
        return etree.fromstring(f"<body {_NAMESPACES}>{text}</body>", parser)
    except etree.XMLSyntaxError:
        return _parse_html(text)


def _parse_html(text: str) -> etree._Element:
    parser = etree.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, encoding="utf-8")
    document = etree.fromstring(f"<html><body>{text}</body></html>".encode(), parser)
    if document is None or any(error.type_name in _LIMITS for error in parser.error_log):
        raise TooDeep
    return document


_LIMITS = frozenset({"ERR_RESOURCE_LIMIT", "ERR_INTERNAL_ERROR", "ERR_NO_MEMORY"})


def strip_tags(body: str) -> str:
    """The text of a body without its tags: where the body cannot be parsed."""
    return html.unescape(_TAG.sub(" ", "".join(_segments(_NOT_XML.sub("", body)))))


def _segments(body: str) -> Iterator[str]:
    """The body without CDATA sections, comments, declarations and named entities. Scans it once."""
    start = 0
    last_comment_end = body.rfind("-->")
    while (opening := body.find("<!", start)) >= 0:
        yield _without_entities(body[start:opening])
        if body.startswith("<![CDATA[", opening):
            end = body.find("]]>", opening + 9)
            if end < 0:
                yield html.escape(body[opening + 9 :])
                return
            yield html.escape(body[opening + 9 : end])
            start = end + 3
        elif body.startswith("<!--", opening) and last_comment_end >= opening + 4:
            start = body.index("-->", opening + 4) + 3
        else:
            yield "&lt;!"
            start = opening + 2
    yield _without_entities(body[start:])


def _without_entities(text: str) -> str:
    """Named entities become characters; an ampersand that begins none is text."""
    if "&" not in text:
        return text
    text = _ENTITY.sub(_entity, text)
    return _REFERENCE.sub(_reference, text) if "&#" in text else text


def _entity(match: re.Match[str]) -> str:
    if match[1] is None:
        return "&amp;"
    value = html.unescape(match[0])
    return html.escape(value) if value != match[0] else f"&amp;{match[1]}"


def _reference(match: re.Match[str]) -> str:
    """References to characters that XML does not have are left out."""
    code = int(match[1][1:], 16) if match[1][0] == "x" else int(match[1])
    if code > 0x10FFFF or _NOT_XML.match(chr(code)):
        return ""
    return match[0]


def name_of(element: etree._Element) -> str:
    """`ac:link` for both parsers; an empty text for comments."""
    tag = element.tag
    if not isinstance(tag, str):
        return ""
    return _NAMES.get(tag) or _NAMES.setdefault(tag, _CLARK.sub(r"\1:", tag).lower()) if len(_NAMES) < 10_000 else tag


_NAMES: dict[str, str] = {}


def attribute(element: etree._Element | None, name: str) -> str:
    """`ac:name`; an empty text where it is missing."""
    if element is None:
        return ""
    prefix, _, local = name.rpartition(":")
    return element.get(f"{{{prefix}}}{local}") or element.get(name) or "" if prefix else element.get(name) or ""


def child(element: etree._Element, *names: str) -> etree._Element | None:
    return next((each for each in element if name_of(each) in names), None)


def descendant(element: etree._Element, *names: str) -> etree._Element | None:
    return next((each for each in element.iter() if name_of(each) in names), None)


def text_of(element: etree._Element | None) -> str:
    """All text inside an element, in one line."""
    return "" if element is None else " ".join(raw_text(element).split())


def raw_text(element: etree._Element) -> str:
    return "".join(str(part) for part in element.itertext())


_SECTIONS = ("tbody", "thead", "tfoot")


def rows_of(table: etree._Element) -> Iterator[etree._Element]:
    return (part for part in parts_of(table) if name_of(part) == "tr")


def parts_of(table: etree._Element) -> Iterator[etree._Element]:
    """A table's sections and rows, in their order."""
    for node in table:
        if name_of(node) == "tr":
            yield node
        elif name_of(node) in _SECTIONS:
            yield node
            yield from (row for row in node if name_of(row) == "tr")


def visible_words(element: etree._Element) -> Iterator[str]:
    """The words inside an element, without those of settings and ids."""
    walk = etree.iterwalk(element, events=("start", "end"))
    for event, node in walk:
        if event == "end":
            yield from (node.tail or "").split() if node is not element else ()
        elif name_of(node) in DROPPED:
            walk.skip_subtree()
        else:
            yield from (node.text or "").split()


def stray_text(*elements: etree._Element) -> str:
    """The text directly inside of elements that should hold elements only: in one line, in its order."""
    parts = (part for element in elements for part in (element.text, *(node.tail for node in element)))
    return " ".join(" ".join(part for part in parts if part).split())


def stray_content(table: etree._Element) -> Iterator[etree._Element]:
    """Elements beside the rows of a table, where only rows may stand."""
    parts = ("tr", *_SECTIONS, "caption")
    for parent in (table, *(node for node in table if name_of(node) in _SECTIONS)):
        yield from (node for node in parent if name_of(node) and name_of(node) not in parts)


def span_of(cell: etree._Element, name: str) -> int:
    value = (cell.get(name) or "1").strip()
    return max(1, int(value)) if value.isdecimal() and len(value) < 6 else 1


def text_with_breaks(element: etree._Element) -> str:
    """With its line breaks, of which `<br/>` is one."""
    parts = [element.text or ""]
    for event, node in etree.iterwalk(element, events=("start", "end")):
        if node is element:
            continue
        if event == "start":
            parts.append("\n" if name_of(node) == "br" else node.text or "")
        else:
            parts.append(node.tail or "")
    return "".join(parts)
