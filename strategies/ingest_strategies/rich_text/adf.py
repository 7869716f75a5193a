"""Converts the Atlassian Document Format to Markdown. https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/

A node of an unknown type becomes its content.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Node = Mapping[str, Any]

_MARKS = {"strong": "**", "em": "*", "strike": "~~", "code": "`"}
_MOST_DEPTH = 60  # of nested nodes: deeper ones are left out


def adf_to_markdown(document: Any) -> str:
    """`document`: the decoded JSON. Anything but an object gives an empty text."""
    if not isinstance(document, Mapping):
        return ""
    return "\n\n".join(_blocks(document, 0)).strip()


def _children(node: Node) -> list[Node]:
    content = node.get("content")
    return [child for child in content if isinstance(child, Mapping)] if isinstance(content, Sequence) else []


def _attrs(node: Node) -> Mapping[str, Any]:
    attrs = node.get("attrs")
    return attrs if isinstance(attrs, Mapping) else {}


def _blocks(node: Node, depth: int) -> Iterator[str]:
    """The blocks inside a node; a run of inline nodes between them is a block of its own."""
    if depth > _MOST_DEPTH:
        return
    run: list[Node] = []
    for child in _children(node):
        if child.get("type") in _INLINE:
            run.append(child)
            continue
        if run:
            yield _inline(run, depth)
            run = []
        text = _BLOCKS.get(str(child.get("type")), _inside)(child, depth + 1)
        if text:
            yield text
    if run:
        yield _inline(run, depth)


def _inside(node: Node, depth: int) -> str:
    return "\n\n".join(_blocks(node, depth))


def _inline(nodes: Sequence[Node], depth: int) -> str:
    return "".join(_INLINE[str(node.get("type"))](node) for node in nodes).strip("\n")


def _heading(node: Node, depth: int) -> str:
    level = _attrs(node).get("level")
    return f"{'#' * (level if isinstance(level, int) and 1 <= level <= 6 else 1)} {_inside(node, depth)}"


def _list(marker: Callable[[Node, int], str]) -> Callable[[Node, int], str]:
    def convert_list(node: Node, depth: int) -> str:
        items = []
        for number, item in enumerate(_children(node)):
            first = marker(node if item.get("type") == "listItem" else item, number)
            text = "\n".join(_blocks(item, depth + 1))
            if item.get("type") in ("bulletList", "orderedList", "taskList", "decisionList"):
                items.append(_indented(_BLOCKS[str(item["type"])](item, depth + 1), "  "))
            else:
                items.append(f"{first} {_indented(text, ' ' * (len(first) + 1)).lstrip()}".rstrip())
        return "\n".join(items)

    return convert_list


def _ordered(node: Node, number: int) -> str:
    first = _attrs(node).get("order")
    return f"{(first if isinstance(first, int) else 1) + number}."


def _task(node: Node, number: int) -> str:
    return "- [x]" if _attrs(node).get("state") == "DONE" else "- [ ]"


def _code(node: Node, depth: int) -> str:
    text = "".join(str(child.get("text", "")) for child in _children(node))
    fence = "```" if "```" not in text else "````"
    return f"{fence}{_attrs(node).get('language') or ''}\n{text}\n{fence}"


def _quote(node: Node, depth: int) -> str:
    return _indented(_inside(node, depth), "> ")


def _expand(node: Node, depth: int) -> str:
    title = _attrs(node).get("title")
    return "\n\n".join(part for part in (f"**{title}**" if title else "", _inside(node, depth)) if part)


def _table(node: Node, depth: int) -> str:
    rows = [[_cell(cell, depth) for cell in _children(row)] for row in _children(node)]
    rows = [row for row in rows if row]
    if not rows:
        return ""
    width = max(map(len, rows))
    lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows]
    return "\n".join([lines[0], f"|{' --- |' * width}", *lines[1:]])


def _cell(node: Node, depth: int) -> str:
    return _inside(node, depth + 2).replace("|", "\\|").replace("\n\n", "<br>").replace("\n", "<br>")


def _media(node: Node, depth: int = 0) -> str:
    attrs = _attrs(node)
    name = attrs.get("alt") or attrs.get("url") or attrs.get("id") or "media"
    return f"![{name}]({attrs['url']})" if attrs.get("url") else f"[file: {name}]"


def _card(node: Node, depth: int = 0) -> str:
    url = _attrs(node).get("url")
    return f"<{url}>" if url else ""


def _rule(node: Node, depth: int) -> str:
    return "---"


_BLOCKS: dict[str, Callable[[Node, int], str]] = {
    "heading": _heading,
    "bulletList": _list(lambda node, number: "-"),
    "decisionList": _list(lambda node, number: "-"),
    "orderedList": _list(_ordered),
    "taskList": _list(_task),
    "codeBlock": _code,
    "blockquote": _quote,
    "panel": _quote,
    "expand": _expand,
    "nestedExpand": _expand,
    "table": _table,
    "media": _media,
    "blockCard": _card,
    "embedCard": _card,
    "rule": _rule,
}


def _text(node: Node) -> str:
    text = str(node.get("text", ""))
    marks = node.get("marks")
    for mark in marks if isinstance(marks, Sequence) and text.strip() else ():
        kind = mark.get("type") if isinstance(mark, Mapping) else None
        if kind in _MARKS:
            text = _wrapped(text, _MARKS[str(kind)])
        elif kind == "link" and _attrs(mark).get("href"):
            text = f"[{text}]({_attrs(mark)['href']})"
    return text


def _wrapped(text: str, sign: str) -> str:
    """Puts the signs next to the words: `** a**` is not bold in Markdown."""
    bare = text.strip()
    left, right = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{left}{sign}{bare}{sign}{right}"


def _attr_text(name: str, *others: str) -> Callable[[Node], str]:
    """Takes the first of these attributes that is present."""
    return lambda node: str(next((v for key in (name, *others) if (v := _attrs(node).get(key))), ""))


def _mention(node: Node) -> str:
    name = _attr_text("text", "id")(node)
    return name if name.startswith("@") or not name else f"@{name}"


def _date(node: Node) -> str:
    try:
        return datetime.fromtimestamp(int(_attrs(node).get("timestamp", "")) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError, TypeError):
        return str(_attrs(node).get("timestamp", ""))


_INLINE: dict[str, Callable[[Node], str]] = {
    "text": _text,
    "hardBreak": lambda node: "\n",
    "mention": _mention,
    "emoji": _attr_text("text", "shortName"),
    "date": _date,
    "status": lambda node: f"[{_attr_text('text')(node)}]",
    "inlineCard": _card,
    "mediaInline": _media,
    "inlineExtension": _attr_text("text", "extensionKey"),
    "placeholder": _attr_text("text"),
}


def _indented(text: str, by: str) -> str:
    return "\n".join(f"{by}{line}".rstrip() for line in text.split("\n"))
