"""Writes `docs/text.md` from the tables of the converters: `python -m ingest_strategies.rich_text.reference > docs/text.md`."""

from collections.abc import Iterable

from ingest_strategies.rich_text import adf_nodes, document, storage_names

_HEAD = """# Text: what becomes of pages, issues and comments

This page is written by `python -m ingest_strategies.rich_text.reference`; a test compares it with the code.

In CDM mode, descriptions, comments and pages become Markdown: [CommonMark](https://spec.commonmark.org/0.31.2/) with the tables, task lists
and strike-through of [GitHub's dialect](https://github.github.com/gfm/). The original is in raw mode's payload. No word of the visible text is lost,
also where the markup is broken; what cannot be shown in Markdown loses its formatting.

* Text that looks like Markdown is escaped: `Map<String, Owner>` becomes `Map\\<String, Owner>`, `__init__` becomes `\\_\\_init\\_\\_`.
* A cell that spans rows or columns is repeated in each of them, so that every value stands under its head. A table whose first row is no head
  gets an empty one; head cells elsewhere are bold. Code, lists and tables inside a cell become lines with `<br>` between them.
* Code keeps its characters; its fence is longer than any run of backticks inside.
* Elements nested deeper than {depth} levels, and bodies that no parser reads, become plain text. The time grows linearly with the length.
* A change of the conversion changes the mapper's version (`_mapper_version`). `ingest-ray remap` brings rows whose staging was kept to the new
  text without reading the source ([cdm.md](cdm.md)).
"""


def reference() -> str:
    return "\n".join([_HEAD.format(depth=document.MOST_DEPTH), *_storage(), *_adf(), *_wiki()])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _marked(marks: dict[str, document.Mark], mark: document.Mark) -> str:
    return _names(name for name, each in marks.items() if each == mark)


def _storage() -> list[str]:
    yes = storage_names
    return [
        "## Confluence's storage format\n",
        _row("element", "becomes"),
        _row("---", "---"),
        *(_row(_marked(yes.MARKS, mark), sign) for mark, sign in _SIGNS.items()),
        _row(
            "`h1` to `h6`, `ul`, `ol`, `li`, `blockquote`, `pre`, `hr`, `table`",
            "heading, list, quote, code, rule, table",
        ),
        _row(_names(yes.BREAKS), "lines of their own"),
        _row("`a`", "a link; one without text, or with an image only, shows its address"),
        _row(
            "`ac:link`",
            "its text, linked to the name of an attached file; without one the page's title, `@` and the person, or `[file: name]`",
        ),
        _row(
            "`ac:image`, `img`",
            "an image of a URL; `[file: name, alternative text]` for an attachment; then the caption",
        ),
        _row("`ac:task-list`, `ac:task`", "a task list: `- [ ]`, `- [x]`, nested as in the page"),
        _row("`ac:emoticon`", "its emoji; without one `:name:`"),
        _row("`time`", "its text or its date"),
        _row("`ac:adf-extension`", "its fallback; without one its content"),
        _row(_names(yes.DROPPED), "nothing: settings, ids, instructions of a template"),
        _row("any other element", "its content"),
        "",
        _row("macro (`ac:structured-macro`, `ac:macro`)", "becomes"),
        _row("---", "---"),
        _row(_names(yes.QUOTES), "a quote, after its title in bold"),
        _row("any with a plain text body", "a code block, after its title; `html` is read as HTML"),
        _row("any other with a body", "its title and content"),
        *(
            _row(f"`{name}`", f"the first of its parameters {', '.join(f'`{each}`' for each in labels)}, in brackets")
            for name, labels in yes.LABELS.items()
        ),
        _row(_names(yes.SILENT), "nothing: they have no words of their own"),
        _row("any other without a body", "its name and parameters in brackets: `[include: Release notes]`"),
        "",
        f"Parameters that say only how a macro looks are left out: {_names(yes.DISPLAY)}.",
        "",
        f"Emoticons: {', '.join(f'`{name}` {emoji}' for name, emoji in yes.EMOTICONS.items())}.",
        "",
    ]


_SIGNS: dict[document.Mark, str] = {
    "strong": "`**bold**`",
    "em": "`*emphasis*`",
    "strike": "`~~struck~~`",
    "code": "code between backticks",
}


def _adf() -> list[str]:
    yes = adf_nodes
    return [
        "## Atlassian Document Format\n",
        _row("node or mark", "becomes"),
        _row("---", "---"),
        *(_row(_marked(yes.MARKS, mark), sign) for mark, sign in _SIGNS.items()),
        _row("`link`", "a link"),
        _row(_names(yes.APPEARANCE), "nothing: the text stays without them"),
        _row(_names(yes.CONTAINERS), "lines of their own"),
        _row(_names(yes.QUOTES), "a quote"),
        _row(_names(yes.EXPANDS), "the title in bold, then the content"),
        _row(_names(yes.LISTS), "a list; `taskItem` with its state"),
        _row("`heading`, `codeBlock`, `table`, `rule`", "heading, code, table, rule"),
        _row("`media`, `mediaInline`", "an image of a URL; else `[file: name]`"),
        _row("`inlineCard`, `blockCard`, `embedCard`", "a link"),
        _row("`mention`, `status`, `date`, `emoji`", "`@name`, `[status]`, the date, the emoji"),
        _row("`hardBreak`, `text`, `tableRow`", "a line break, the text, a row of the table"),
        _row("`extension`, `inlineExtension`", "its text; without one its key and parameters in brackets"),
        _row("`bodiedExtension` and any other node with a text or title beside its content", "that, then the content"),
        _row(
            "`placeholder`, `syncBlock`", "the text of the placeholder; nothing of a block that stands on another page"
        ),
        _row(
            "any other node",
            f"its content; without one the first of its attributes {', '.join(f'`{name}`' for name in yes.TEXT_ATTRIBUTES)}",
        ),
        "",
    ]


def _wiki() -> list[str]:
    return [
        "## Wiki markup\n",
        _row("markup", "becomes"),
        _row("---", "---"),
        _row("`h1.` to `h6.`, `bq.`, `----`", "heading, quote, rule"),
        _row("lines with `*`, `#`, `-`", "lists, nested by the number of signs; a line after an item belongs to it"),
        _row("`*a*`, `_a_`, `-a-`, `{{a}}`, `{*}a{*}`", "bold, emphasis, struck, code, bold inside a word"),
        _row("`{code}`, `{noformat}`", "a code block, after its title; one that is never closed is text"),
        _row("`{html}`", "read as HTML"),
        _row("`{quote}`, `{panel}`", "a quote, after its title in bold"),
        _row("`{color}`, `{anchor}`, `{toc}`", "nothing; the text in color stays"),
        _row("`\\|\\|head\\|\\|`, `\\|cell\\|`", "a table; a row goes on until a bar ends it"),
        _row("`[text\\|url]`, `[url]`, `[~person]`, `[^file]`", "a link, an address, `@person`, `[file: name]`"),
        _row("`!image.png\\|options!`", "an image; two exclamation marks around other words are text"),
        _row("any other braces and brackets", "text"),
    ]


if __name__ == "__main__":
    print(reference())
