"""Converts the Atlassian Document Format to Markdown. https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ingest_strategies.rich_text.adf_nodes import (
    CONTAINERS,
    EXPANDS,
    INLINE,
    LABEL_ATTRIBUTES,
    LINES,
    LISTS,
    MARKS,
    QUOTES,
    TEXT_ATTRIBUTES,
)
from ingest_strategies.rich_text.document import (
    MOST_DEPTH,
    Block,
    BlockWriter,
    Cell,
    CodeBlock,
    Heading,
    Item,
    ListBlock,
    Paragraph,
    Quote,
    Rule,
    Run,
    Table,
    titled,
)
from ingest_strategies.rich_text.markdown import to_markdown

Node = Mapping[str, Any]


def adf_to_markdown(document: Any) -> str:
    """`document`: the decoded JSON. Anything but an object gives an empty text."""
    if not isinstance(document, Mapping):
        return ""
    return to_markdown(_inside(document, 0))


def _children(node: Node) -> list[Node]:
    content = node.get("content")
    if isinstance(content, str) or not isinstance(content, Sequence):
        return []
    return [child for child in content if isinstance(child, Mapping)]


def _attrs(node: Node) -> Mapping[str, Any]:
    attrs = node.get("attrs")
    return attrs if isinstance(attrs, Mapping) else {}


def _attr(node: Node, *names: str) -> str:
    """The first of these attributes that has a text or number."""
    attrs = _attrs(node)
    values = (attrs.get(name) for name in names)
    return next((str(value) for value in values if isinstance(value, str | int | float) and str(value).strip()), "")


def _kind(node: Node) -> str:
    return str(node.get("type"))


def _inside(node: Node, depth: int) -> list[Block]:
    writer = _Reader()
    writer.read_children(node, depth)
    return writer.finish()


class _Reader(BlockWriter):
    def read_children(self, node: Node, depth: int) -> None:
        if depth > MOST_DEPTH:
            self.add_run(Run(" ".join(_words(node))))
            return
        children = _children(node)
        is_line = _kind(node) in LINES
        self.add_apart(Run(_label(node)))
        if not is_line:
            self.end_paragraph()
        for child in children:
            kind = _kind(child)
            if kind in INLINE or (kind not in _BLOCKS and kind not in CONTAINERS and _is_inline(child, is_line)):
                self._read_inline(child, depth)
            else:
                self._read_block(child, kind, depth + 1)

    def _read_block(self, node: Node, kind: str, depth: int) -> None:
        self.end_paragraph()
        convert = _BLOCKS.get(kind)
        if convert is not None:
            for block in convert(node, depth):
                self.add_block(block)
            return
        if _children(node):
            self.read_children(node, depth)
        elif kind not in CONTAINERS:
            self._read_inline(node, depth)
        self.end_paragraph()

    def _read_inline(self, node: Node, depth: int) -> None:
        kind = _kind(node)
        if kind == "text":
            self.add_run(_text_run(node))
        elif kind == "hardBreak":
            self.add_run(Run("\n"))
        elif kind in ("media", "mediaInline"):
            self.add_apart(_media_run(node))
        elif kind in ("inlineCard", "blockCard", "embedCard"):
            self.add_apart(_card_run(node))
        elif _children(node) and depth > MOST_DEPTH:
            self.add_run(Run(" ".join(_words(node))))
        elif _children(node):
            self.add_apart(Run(_label(node)))
            for child in _children(node):
                self._read_inline(child, depth + 1)
        else:
            self.add_apart(_marked(node, Run(_inline_text(node, kind))))


def _label(node: Node) -> str:
    """The text that a node has beside its content, unless the content says the same."""
    children = _children(node)
    label = _attr(node, *LABEL_ATTRIBUTES) if children and _kind(node) not in EXPANDS else ""
    said = {word for child in children for text in _words(child) for word in text.split()} if label else set()
    return "" if set(label.split()) <= said else label


def _is_inline(node: Node, is_in_line: bool) -> bool:
    """Whether an unknown node is part of a line: it stands in one, or holds inline nodes, and has no blocks in it."""
    inside = {_kind(child) for child in _children(node)}
    if inside & (set(_BLOCKS) | CONTAINERS):
        return False
    return is_in_line or bool(inside & INLINE)


def _words(node: Node) -> Iterator[str]:
    """The text inside a node that is nested too deeply to be converted, in reading order."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        beside = _attr(each, *LABEL_ATTRIBUTES) if _children(each) else _inline_text(each, _kind(each))
        text = str(each.get("text") or "") or beside
        if text:
            yield text
        waiting.extend(reversed(_children(each)))


def _inline_text(node: Node, kind: str) -> str:
    if kind == "mention":
        name = _attr(node, "text", "id")
        return name if name.startswith("@") or not name else f"@{name}"
    if kind == "date":
        return _date(node)
    if kind == "status":
        text = _attr(node, "text")
        return f"[{text}]" if text else ""
    if kind in CONTAINERS:
        return ""
    text = str(node["text"]) if isinstance(node.get("text"), str) else _attr(node, *TEXT_ATTRIBUTES)
    parameters = ", ".join(_parameters(node)) if not _attr(node, "text") else ""
    return f"[{text}: {parameters}]" if parameters else text


def _parameters(node: Node) -> Iterator[str]:
    """The parameters of an extension: `{"macroParams": {"jqlQuery": {"value": "..."}}}`."""
    parameters = _attrs(node).get("parameters")
    macro = parameters.get("macroParams") if isinstance(parameters, Mapping) else None
    for name, value in macro.items() if isinstance(macro, Mapping) else ():
        text = value.get("value") if isinstance(value, Mapping) else value
        if isinstance(text, str | int | float) and str(text).strip():
            yield f"{name} {text}".strip()


def _date(node: Node) -> str:
    timestamp = _attrs(node).get("timestamp", "")
    try:
        return datetime.fromtimestamp(int(timestamp) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError, TypeError):
        return str(timestamp) if isinstance(timestamp, str | int | float) else ""


def _text_run(node: Node) -> Run:
    text = node.get("text")
    return _marked(node, Run(text if isinstance(text, str) else "" if text is None else str(text)))


def _marked(node: Node, run: Run) -> Run:
    marks = node.get("marks")
    for mark in marks if isinstance(marks, Sequence) and not isinstance(marks, str) else ():
        if not isinstance(mark, Mapping):
            continue
        known = MARKS.get(str(mark.get("type")))
        if known is not None:
            run = replace(run, marks=run.marks | {known})
        elif mark.get("type") == "link" and _attr(mark, "href"):
            run = replace(run, href=_attr(mark, "href"))
    return run


def _media_run(node: Node) -> Run:
    url = _attr(node, "url")
    name = _attr(node, "alt") or url or _attr(node, "id") or "media"
    return Run(name, href=url, is_image=True) if url else Run(f"[file: {name}]")


def _card_run(node: Node) -> Run:
    data = _attrs(node).get("data")
    url = _attr(node, "url") or (_attr({"attrs": data}, "url", "@id") if isinstance(data, Mapping) else "")
    name = _attr({"attrs": data}, "name") if isinstance(data, Mapping) else ""
    return Run(name or url, href=url or None)


def _heading(node: Node, depth: int) -> Iterator[Block]:
    level = _attrs(node).get("level")
    blocks = _inside(node, depth)
    first = blocks[0] if blocks else None
    if isinstance(first, Paragraph):
        yield Heading(level if isinstance(level, int) and 1 <= level <= 6 else 1, first.runs)
        blocks = blocks[1:]
    yield from blocks


def _list(node: Node, depth: int) -> Iterator[Block]:
    items: list[Item] = []
    for child in _children(node):
        if _kind(child) in LISTS:  # belongs to the item before it
            items = items or [Item([])]
            is_deep = depth > MOST_DEPTH
            items[-1].blocks += [Paragraph([Run(" ".join(_words(child)))])] if is_deep else _list(child, depth + 1)
        else:
            is_task = _kind(child) in ("taskItem", "blockTaskItem")
            items.append(Item(_inside(child, depth), _attrs(child).get("state") == "DONE" if is_task else None))
    order = _attrs(node).get("order")
    first = (order if isinstance(order, int) and 0 <= order < 10**8 else 1) if _kind(node) == "orderedList" else None
    if items:
        yield ListBlock(items, first)


def _code(node: Node, depth: int) -> Iterator[Block]:
    text = "".join(str(child.get("text") or "") for child in _children(node))
    yield CodeBlock(text, _attr(node, "language"))


def _quote(node: Node, depth: int) -> Iterator[Block]:
    blocks = _inside(node, depth)
    if blocks:
        yield Quote(blocks)


def _expand(node: Node, depth: int) -> Iterator[Block]:
    yield from titled(_attr(node, "title"), _inside(node, depth))


def _table(node: Node, depth: int) -> Iterator[Block]:
    rows = [
        [
            Cell(_inside(cell, depth), _kind(cell) == "tableHeader", _span(cell, "colspan"), _span(cell, "rowspan"))
            for cell in _children(row)
        ]
        for row in _children(node)
    ]
    rows = [row for row in rows if row]
    if rows:
        yield Table(rows)


def _span(cell: Node, name: str) -> int:
    value = _attrs(cell).get(name)
    return value if isinstance(value, int) and 1 <= value < 100_000 else 1


def _media(node: Node, depth: int) -> Iterator[Block]:
    yield Paragraph([_media_run(node)])


def _card(node: Node, depth: int) -> Iterator[Block]:
    run = _card_run(node)
    if run.text:
        yield Paragraph([run])


def _rule(node: Node, depth: int) -> Iterator[Block]:
    yield Rule()


_BLOCKS = {
    "heading": _heading,
    "codeBlock": _code,
    "table": _table,
    "media": _media,
    "blockCard": _card,
    "embedCard": _card,
    "rule": _rule,
    **dict.fromkeys(LISTS, _list),
    **dict.fromkeys(QUOTES, _quote),
    **dict.fromkeys(EXPANDS, _expand),
}
