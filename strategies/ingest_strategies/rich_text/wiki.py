"""Converts Jira's wiki markup (Data Center, and version 2 of the Cloud API) to Markdown, line by line and in linear time.

https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all. Bodies hold whole logs, up to megabytes: every pattern is
applied to one line, and at most once from each position. Text in `{code}` and `{noformat}` is not converted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingest_strategies.rich_text.document import (
    Block,
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
from ingest_strategies.rich_text.storage import storage_blocks
from ingest_strategies.rich_text.wiki_inline import inline_runs

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # \x01 and \x02 stand around the number of a code block
_FENCE = re.compile(r"\{(code|noformat|html)(?::([^}\n]{0,500}))?\}")
_TAG = re.compile(r"\{(quote|panel)(?::([^}\n]{0,500}))?\}")
_SEALED = re.compile(r"\x01(\d+)\x02")
_HEADING = re.compile(r"^\s*h([1-6])\.\s*(.*)$")
_ITEM = re.compile(r"^\s*([*#]{1,9}|-{1,3})\s+(\S.*)$")
_BLOCKQUOTE = re.compile(r"^\s*bq\.\s+(.*)$")
_RULE = re.compile(r"^\s*-{4,}\s*$")
_CELL = re.compile(r"\\.|\{\{[^{}\n]{0,2000}\}\}|\[[^\[\]\n]{1,2000}\]|!\S[^!|\n]{0,300}\|[^!|\n]{0,300}!|\|\|?")
_MOST_LINE = 20_000  # characters: a longer line is data, not prose
_MOST_ROW_LINES = 50  # of one table row
_MOST_OPEN = 20  # quotes and panels inside each other


def wiki_to_markdown(text: str) -> str:
    return to_markdown(wiki_blocks(text))


def wiki_blocks(text: str) -> list[Block]:
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    sealed, blocks = _seal(text)
    reader = _Reader(blocks)
    reader.read(sealed.split("\n"))
    return reader.finish()


def _seal(text: str) -> tuple[str, list[list[Block]]]:
    """Replaces each code block with its number. A fence that is never closed is left out; what follows it is prose."""
    parts: list[str] = []
    blocks: list[list[Block]] = []
    unclosed: set[str] = set()
    start = 0
    for opening in _FENCE.finditer(text):
        if opening.start() < start:
            continue
        name, parameters = opening[1], opening[2] or ""
        closing = -1 if name in unclosed else text.find(f"{{{name}}}", opening.end())
        parts.append(text[start : opening.start()])
        start = opening.end()
        if closing < 0:
            unclosed.add(name)
            parts.append(_parameter(parameters, "title"))
            continue
        parts.append(f"\x01{len(blocks)}\x02")
        blocks.append(_sealed_blocks(name, parameters, text[start:closing]))
        start = closing + len(name) + 2
    parts.append(text[start:])
    return "".join(parts), blocks


def _sealed_blocks(name: str, parameters: str, text: str) -> list[Block]:
    title = _parameter(parameters, "title")
    if name == "html":
        return titled(title, storage_blocks(text))
    return titled(title, [CodeBlock(text.strip("\n"), _language(parameters))])


def _language(parameters: str) -> str:
    """`java|title=Foo.java` -> `java`."""
    first = parameters.split("|", 1)[0].strip()
    return first if re.fullmatch(r"[\w+#.-]{1,20}", first) else _parameter(parameters, "language")


def _parameter(parameters: str, name: str) -> str:
    for each in parameters.split("|"):
        key, is_set, value = each.partition("=")
        if is_set and key.strip() == name:
            return value.strip()
    return ""


@dataclass
class _Open:
    """A list of blocks that is being filled: the document's, or that of a quote."""

    tag: str = ""
    title: str = ""
    blocks: list[Block] = field(default_factory=list)


class _Reader:
    def __init__(self, sealed: list[list[Block]]) -> None:
        self._sealed = sealed
        self._open = [_Open()]
        self._lines: list[str] = []  # of the paragraph
        self._rows: list[list[Cell]] = []
        self._items: list[tuple[str, list[Block]]] = []

    def read(self, lines: list[str]) -> None:
        index = 0
        while index < len(lines):
            line = lines[index]
            index += 1
            if _is_row(line):
                while not line.rstrip().endswith("|") and index < len(lines) and _continues(line, lines[index]):
                    line = f"{line}\n{lines[index]}"
                    index += 1
                self._add_row(line)
            else:
                self._read_line(line)

    def finish(self) -> list[Block]:
        self._end_text()
        while len(self._open) > 1:
            self._close()
        return self._open[0].blocks

    def _read_line(self, line: str) -> None:
        """Text between tags; a tag or a code block ends the text before it."""
        start = 0
        marks = sorted([*_TAG.finditer(line), *_SEALED.finditer(line)], key=lambda match: match.start())
        for match in marks:
            self._add_text(line[start : match.start()])
            start = match.end()
            if match.re is _SEALED:
                self._add_sealed(int(match[1]))
            else:
                self._toggle(match[1], match[2] or "")
        rest = line[start:]
        if rest.strip() or not marks:
            self._add_text(rest)

    def _add_sealed(self, number: int) -> None:
        blocks = self._sealed[number] if number < len(self._sealed) else []
        if self._items and not self._lines:
            self._items[-1][1].extend(blocks)
        else:
            self._end_text()
            self._open[-1].blocks += blocks

    def _toggle(self, tag: str, parameters: str) -> None:
        self._end_text()
        if self._open[-1].tag == tag:
            self._close()
        elif len(self._open) < _MOST_OPEN:
            self._open.append(_Open(tag, _parameter(parameters, "title")))

    def _close(self) -> None:
        closed = self._open.pop()
        blocks = titled(closed.title, closed.blocks)
        if blocks:
            self._open[-1].blocks.append(Quote(blocks))

    def _add_text(self, line: str) -> None:
        if not line.strip():
            self._end_text()
            return
        if len(line) > _MOST_LINE:
            self._end_text()
            self._open[-1].blocks.append(Paragraph([Run(line)]))
            return
        if heading := _HEADING.match(line):
            self._end_text()
            self._open[-1].blocks.append(Heading(int(heading[1]), inline_runs(heading[2])))
        elif _RULE.match(line):
            self._end_text()
            self._open[-1].blocks.append(Rule())
        elif item := _ITEM.match(line):
            self._end_paragraph()
            self._end_table()
            self._items.append((item[1], [Paragraph(inline_runs(item[2]))]))
        elif quote := _BLOCKQUOTE.match(line):
            self._end_text()
            self._open[-1].blocks.append(Quote([Paragraph(inline_runs(quote[1]))]))
        elif self._items:
            self._continue_item(line)
        else:
            self._end_table()
            self._lines.append(line)

    def _continue_item(self, line: str) -> None:
        blocks = self._items[-1][1]
        last = blocks[-1] if blocks else None
        if isinstance(last, Paragraph):
            last.runs += [Run("\n"), *inline_runs(line)]
        else:
            blocks.append(Paragraph(inline_runs(line)))

    def _add_row(self, line: str) -> None:
        self._end_paragraph()
        self._end_list()
        cells = list(self._cells(line))
        if cells:
            self._rows.append(cells)

    def _cells(self, line: str) -> Iterator[Cell]:
        """`||head||head||` and `|cell|cell|`: the bars before a cell say what it is."""
        text = line.strip()
        bars = [match for match in _CELL.finditer(text) if match[0].startswith("|")]
        for index, bar in enumerate(bars):
            end = bars[index + 1].start() if index + 1 < len(bars) else len(text)
            content = text[bar.end() : end].strip()
            if content or index + 1 < len(bars):
                yield Cell(self._cell_blocks(content), is_head=bar[0] == "||")

    def _cell_blocks(self, content: str) -> list[Block]:
        if not content:
            return []
        inner = _Reader(self._sealed)
        for line in content.split("\n"):
            inner._read_line(line)
        return inner.finish()

    def _end_text(self) -> None:
        self._end_paragraph()
        self._end_list()
        self._end_table()

    def _end_paragraph(self) -> None:
        lines, self._lines = self._lines, []
        runs: list[Run] = []
        for line in lines:
            runs += [Run("\n"), *inline_runs(line)] if runs else inline_runs(line)
        if any(run.text.strip() or run.href for run in runs):
            self._open[-1].blocks.append(Paragraph(runs))

    def _end_list(self) -> None:
        items, self._items = self._items, []
        if items:
            self._open[-1].blocks += _nested(items)

    def _end_table(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._open[-1].blocks.append(Table(rows))


def _is_row(line: str) -> bool:
    return line.lstrip().startswith("|") and len(line) <= _MOST_LINE


def _continues(row: str, line: str) -> bool:
    """A row goes on in the next line until a bar ends it."""
    return bool(line.strip()) and not _is_row(line) and row.count("\n") < _MOST_ROW_LINES and "|" in line


def _nested(items: list[tuple[str, list[Block]]]) -> list[Block]:
    """`*`, `**`, `#*`: the number of signs is the depth, the last sign the kind of list."""
    top: list[Block] = []
    levels: list[tuple[str, ListBlock]] = []
    for signs, blocks in items:
        depth = 1 if signs[0] == "-" else len(signs)
        kind = signs[-1]
        del levels[depth:]
        if len(levels) == depth and levels[-1][0] != kind:
            levels.pop()
        if len(levels) < depth:
            block = ListBlock([], 1 if kind == "#" else None)
            if levels:
                levels[-1][1].items[-1].blocks.append(block)
            else:
                top.append(block)
            levels.append((kind, block))
        levels[-1][1].items.append(Item(blocks))
    return top
