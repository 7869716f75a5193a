"""Converts Confluence's storage format to Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from lxml import etree

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
from ingest_strategies.rich_text.storage_inline import emoticon_text, image_runs, link_label, macro_label, user_label
from ingest_strategies.rich_text.storage_names import BREAKS, DROPPED, MARKS, QUOTES
from ingest_strategies.rich_text.storage_tree import (
    TooDeep,
    attribute,
    child,
    descendant,
    name_of,
    parse,
    parts_of,
    raw_text,
    rows_of,
    span_of,
    stray_content,
    stray_text,
    strip_tags,
    text_of,
    text_with_breaks,
    visible_words,
)

Element = etree._Element


def storage_to_markdown(body: str) -> str:
    """A body that cannot be parsed, or is nested too deeply, becomes plain text."""
    return to_markdown(storage_blocks(body))


def storage_blocks(body: str, depth: int = 0) -> list[Block]:
    try:
        tree = parse(body)
    except TooDeep:
        return [Paragraph([Run(line)]) for line in strip_tags(body).split("\n") if line.strip()]
    reader = _Reader()
    reader.read_children(tree, Run(""), depth)
    return reader.finish()


class _Reader(BlockWriter):
    """Walks the tree once. `style`: a run without text, whose marks and link the text inside an element takes."""

    def read_children(self, element: Element, style: Run, depth: int) -> None:
        if element.text:
            self._add_text(element.text, style)
        for node in element:
            self._read(node, style, depth)
            if node.tail:
                self._add_text(node.tail, style)

    def _read(self, element: Element, style: Run, depth: int) -> None:
        name = name_of(element)
        if not name or name in DROPPED:
            return
        if depth > MOST_DEPTH:
            self._add_text(f" {text_of(element)} ", style)
        elif (mark := MARKS.get(name)) is not None:
            self.read_children(element, replace(style, marks=style.marks | {mark}), depth + 1)
        elif name in BREAKS:
            self.end_paragraph()
            self._read_container(element, name, style, depth + 1)
            self.end_paragraph()
        elif (read := _ELEMENTS.get(name)) is not None:
            read(self, element, style, depth + 1)
        else:
            self.read_children(element, style, depth + 1)

    def _read_container(self, element: Element, name: str, style: Run, depth: int) -> None:
        if name == "ac:adf-extension":
            for part in _parts_of_extension(element):
                self.read_children(part, style, depth)
            return
        if name in ("dt", "summary"):
            style = replace(style, marks=style.marks | {"strong"})
        self.read_children(element, style, depth)

    def _add_text(self, text: str, style: Run) -> None:
        """Collapses white space, as a browser does."""
        words = " ".join(text.split())
        if not words:
            self.add_run(style.with_text(" "))
            return
        left, right = " " * text[0].isspace(), " " * text[-1].isspace()
        self.add_run(style.with_text(f"{left}{words}{right}"))

    def add_line_break(self, element: Element, style: Run, depth: int) -> None:
        self.add_run(Run("\n"))

    def add_heading(self, element: Element, style: Run, depth: int) -> None:
        """Blocks inside a heading, such as a macro with a body, follow it."""
        blocks = _inside(element, depth)
        level = int(name_of(element)[1])
        first = blocks[0] if blocks else None
        if isinstance(first, Paragraph):
            self.add_block(Heading(level, first.runs))
            blocks = blocks[1:]
        self.add_blocks(blocks)

    def add_blocks(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            self.add_block(block)

    def add_list(self, element: Element, style: Run, depth: int) -> None:
        start = element.get("start") or "1"
        first = None if name_of(element) != "ol" else int(start) if start.isdecimal() and len(start) < 9 else 1
        items = _items(element, depth)
        if items:
            self.add_block(ListBlock(items, first))

    def add_loose_item(self, element: Element, style: Run, depth: int) -> None:
        """An item outside of a list."""
        self.add_block(ListBlock([_item(element, depth)]))

    def add_table(self, element: Element, style: Run, depth: int) -> None:
        caption = child(element, "caption")
        if caption is not None:
            self.add_blocks(_inside(caption, depth))
        rows = [row for row in (_cells(tr, depth) for tr in rows_of(element)) if row]
        self.end_paragraph()
        if rows:
            self.add_block(Table(rows))
        for stray in stray_content(element):
            self.add_blocks(_inside(stray, depth))
        self._add_stray_line(element, *parts_of(element))

    def add_quote(self, element: Element, style: Run, depth: int) -> None:
        blocks = _inside(element, depth)
        if blocks:
            self.add_block(Quote(blocks))

    def add_code(self, element: Element, style: Run, depth: int) -> None:
        self.add_block(CodeBlock(text_with_breaks(element).strip("\n"), ""))

    def add_rule(self, element: Element, style: Run, depth: int) -> None:
        self.add_block(Rule())

    def add_anchor(self, element: Element, style: Run, depth: int) -> None:
        href = (element.get("href") or "").strip()
        if not href or href.startswith("#") or style.href:
            self.read_children(element, style, depth)
            return
        count = len(self.blocks)
        self.read_children(element, replace(style, href=href), depth)
        if count == len(self.blocks) and not text_of(element):  # an image, or nothing
            self.add_run(style.with_text(" "))
            self.add_run(replace(style, text=href, href=href))

    def add_link(self, element: Element, style: Run, depth: int) -> None:
        label = child(element, "ac:link-body", "ac:plain-text-link-body")
        if label is not None and (text_of(label) or len(label)):
            file = attribute(descendant(element, "ri:attachment"), "ri:filename")
            self.read_children(label, replace(style, href=style.href or file or None), depth)
        else:
            self._add_words(stray_text(element) or link_label(element), style)

    def add_image(self, element: Element, style: Run, depth: int) -> None:
        for run in image_runs(element):
            self.add_run(run)
        caption = child(element, "ac:caption")
        if caption is not None:
            self.add_run(Run(" "))
            self.read_children(caption, style, depth)
        self._add_stray_line(element)

    def add_user(self, element: Element, style: Run, depth: int) -> None:
        self._add_words(user_label(element), style)

    def add_time(self, element: Element, style: Run, depth: int) -> None:
        if text_of(element):
            self.read_children(element, style, depth)
        else:
            self._add_words(element.get("datetime") or "", style)

    def add_emoticon(self, element: Element, style: Run, depth: int) -> None:
        self._add_words(emoticon_text(element), style)
        self.read_children(element, style, depth)

    def add_macro(self, element: Element, style: Run, depth: int) -> None:
        name = attribute(element, "ac:name")
        plain, rich = child(element, "ac:plain-text-body"), child(element, "ac:rich-text-body")
        parameters = _parameters(element)
        title = parameters.get("title", "")
        if plain is not None and name == "html":
            self.add_blocks(titled(title, storage_blocks(raw_text(plain), depth)))
        elif plain is not None:
            code = CodeBlock(raw_text(plain).strip("\n"), parameters.get("language", ""))
            self.add_blocks(titled(title, [code]))
        elif rich is not None:
            blocks = titled(title, _inside(rich, depth))
            self.add_blocks([Quote(blocks)] if name in QUOTES and blocks else blocks)
        else:
            self._add_words(macro_label(name, parameters), style)
        for extra in element:
            if name_of(extra) not in _MACRO_PARTS and name_of(extra) not in DROPPED:
                self._read(extra, style, depth)
        self._add_stray_line(element)

    def _add_stray_line(self, *elements: Element) -> None:
        """Text where only elements belong, as other tools write it, follows in a line of its own."""
        text = stray_text(*elements)
        if text:
            self.add_block(Paragraph([Run(text)]))

    def _add_words(self, text: str, style: Run) -> None:
        self.add_apart(style.with_text(text))


_MACRO_PARTS = frozenset({"ac:plain-text-body", "ac:rich-text-body"})


def _parts_of_extension(extension: Element) -> list[Element]:
    """The fallback has the content's text as HTML. Where an editor changed only one of both, the one that says more, or both."""
    fallback = child(extension, "ac:adf-fallback")
    content = [node for node in extension if node is not fallback]
    if fallback is None or not content:
        return [extension]
    in_content = {word for node in content for word in visible_words(node)}
    in_fallback = set(visible_words(fallback))
    if in_content <= in_fallback:
        return [fallback]
    return content if in_fallback <= in_content else [*content, fallback]


def _inside(element: Element, depth: int) -> list[Block]:
    reader = _Reader()
    reader.read_children(element, Run(""), depth)
    return reader.finish()


def _parameters(macro: Element) -> dict[str, str]:
    """By name, in their order; a parameter that names a page, person, space, file or URL has it as its text."""
    parameters = {}
    for each in macro:
        if name_of(each) in ("ac:parameter", "ac:default-parameter"):
            parameters[attribute(each, "ac:name")] = text_of(each) or ", ".join(filter(None, map(link_label, [each])))
    return parameters


def _items(element: Element, depth: int) -> list[Item]:
    """A list directly inside of a list belongs to the item before it. Text outside of the items is an item."""
    items = _stray_items(element.text)
    for node in element:
        name = name_of(node)
        if name in _LISTS:
            items = items or [Item([])]
            nested = _Reader()
            nested._read(node, Run(""), depth)
            items[-1].blocks += nested.finish()
        elif name and name not in DROPPED:
            items.append(_item(node, depth))
        items += _stray_items(node.tail)
    return items


def _stray_items(text: str | None) -> list[Item]:
    words = " ".join((text or "").split())
    return [Item([Paragraph([Run(words)])])] if words else []


_LISTS = frozenset({"ul", "ol", "ac:task-list"})


def _item(element: Element, depth: int) -> Item:
    if name_of(element) != "ac:task":
        return Item(_inside(element, depth))
    status = text_of(child(element, "ac:task-status"))
    return Item(_inside(element, depth), checked=status == "complete")


def _cells(row: Element, depth: int) -> list[Cell]:
    return [
        Cell(_inside(cell, depth), name_of(cell) == "th", span_of(cell, "colspan"), span_of(cell, "rowspan"))
        for cell in row
        if name_of(cell)
    ]


_ELEMENTS: dict[str, Callable[[_Reader, Element, Run, int], None]] = {
    **{f"h{level}": _Reader.add_heading for level in range(1, 7)},
    "br": _Reader.add_line_break,
    "ul": _Reader.add_list,
    "ol": _Reader.add_list,
    "li": _Reader.add_loose_item,
    "ac:task-list": _Reader.add_list,
    "ac:task": _Reader.add_loose_item,
    "table": _Reader.add_table,
    "blockquote": _Reader.add_quote,
    "pre": _Reader.add_code,
    "ac:plain-text-body": _Reader.add_code,
    "hr": _Reader.add_rule,
    "a": _Reader.add_anchor,
    "time": _Reader.add_time,
    "img": _Reader.add_image,
    "ac:image": _Reader.add_image,
    "ac:link": _Reader.add_link,
    "ac:emoticon": _Reader.add_emoticon,
    "ac:structured-macro": _Reader.add_macro,
    "ac:macro": _Reader.add_macro,
    "ri:user": _Reader.add_user,
}
