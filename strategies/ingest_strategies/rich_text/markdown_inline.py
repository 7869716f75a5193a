"""Writes runs of text as inline Markdown, and escapes text that looks like Markdown."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from ingest_strategies.rich_text.document import MARK_ORDER, Mark, Run

_SIGNS: dict[Mark, str] = {"strong": "**", "em": "*", "strike": "~~"}

_NEEDS_ESCAPE = re.compile(r"[\\`*_<&~\]]")
_URL = re.compile(r"\bhttps?://[^\s<>\"'`|\\)\]}]{1,2000}")
_SPECIAL = re.compile(
    r"\\(?=[!-/:-@\[-`{-~\n]|$)"  # a backslash before punctuation
    r"|`|(?<!\s)\*|\*(?!\s)"
    r"|(?<![^\W_])_|_(?![^\W_])"  # inside a word it is a letter
    r"|<(?=[A-Za-z/!?]|$)"
    r"|&(?=#\d{1,7};|#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{1,31};)"
    r"|~(?=~)|(?<=~)~"
    r"|\](?=[(\[])"
)
_LINE_START = re.compile(
    r"^(?:(?P<sign>#{1,6}(?=\s|$)|[-+*](?=\s|$)|>|=+\s*$|-{2,}\s*$|~{3,}|\[(?=[ xX]\]\s|[^\]\n]{1,200}\]:))|(?P<number>\d{1,9})(?P<dot>[.)])(?=\s|$))"
)
_DELIMITERS = frozenset(" :|-")  # a line of these ends the head of a table
BACKTICKS = re.compile(r"`+")
_UNSAFE_TARGET = re.compile(r"[\s()<>]")


def escape_line_start(line: str) -> str:
    """Escapes what would begin a heading, list, quote, fence or table at the start of a line."""
    match = _LINE_START.match(line)
    if match is not None:
        if match["number"]:
            return f"{match['number']}\\{line[match.start('dot') :]}"
        return f"\\{line}"
    if "-" in line and _DELIMITERS.issuperset(line):
        return line.replace("-", "\\-", 1)
    return line


def escape(text: str) -> str:
    """Escapes what would be inline markup. A URL that holds such signs becomes an autolink, so that it stays one word."""
    if _NEEDS_ESCAPE.search(text) is None:
        return text
    if "://" not in text:
        return _SPECIAL.sub(r"\\\g<0>", text)
    parts: list[str] = []
    start = 0
    for match in _URL.finditer(text):
        url = match[0].rstrip(".,;:!?*_")
        parts += [_SPECIAL.sub(r"\\\g<0>", text[start : match.start()]), f"<{url}>" if _SPECIAL.search(url) else url]
        start = match.start() + len(url)
    parts.append(_SPECIAL.sub(r"\\\g<0>", text[start:]))
    return "".join(parts)


def inline_text(runs: Sequence[Run]) -> str:
    parts: list[str] = []
    for (href, title, is_image), linked in groupby(runs, lambda run: (run.href, run.title, run.is_image)):
        group = list(linked)
        if is_image:
            parts.append(f"![{escape(_plain(group))}]({_target(href or '')})")
        elif href is None:
            parts.append(_marked(group))
        else:
            if parts and parts[-1].endswith("!"):
                parts[-1] = f"{parts[-1][:-1]}\\!"  # else the link would be an image
            parts.append(_link(group, href, title))
    return "".join(parts)


def _plain(runs: Iterable[Run]) -> str:
    return " ".join("".join(run.text for run in runs).split())


def _link(runs: Sequence[Run], href: str, title: str | None) -> str:
    label = _plain(runs)
    if (label == href or not label) and re.match(r"[A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]*$", href):
        return f"<{href}>"
    text = "".join(run.text for run in runs)
    left, right = " " * text[:1].isspace(), " " * text[-1:].isspace()
    shown = " ".join(_marked(runs).split()) or escape(href)
    suffix = ' "{}"'.format(title.replace('"', "'")) if title else ""
    return f"{left}[{_balanced(shown)}]({_target(href)}{suffix}){right}"


def _balanced(label: str) -> str:
    """Brackets in a label must be balanced, or escaped."""
    depth = 0
    for sign in label:
        depth += {"[": 1, "]": -1}.get(sign, 0)
        if depth < 0:
            break
    return label if depth == 0 else re.sub(r"(?<!\\)([\[\]])", r"\\\1", label)


def _target(href: str) -> str:
    if not href or _UNSAFE_TARGET.search(href) is not None:
        return f"<{re.sub(r'[<>]', lambda sign: '%3C' if sign[0] == '<' else '%3E', ' '.join(href.split()))}>"
    return href


def _marked(runs: Sequence[Run]) -> str:
    """Opens and closes marks so that they nest; blanks at the ends of a marked text are put outside of its marks."""
    parts: list[str] = []
    open_marks: list[Mark] = []
    for run in _writable_marks(list(_joined(runs))):
        text = run.text
        if not text.strip():
            parts.append(text)
            continue
        left, bare, right = _split_blanks(text)
        wanted = [mark for mark in MARK_ORDER if mark in run.marks and mark in _SIGNS]
        kept = 0
        while kept < len(open_marks) and open_marks[kept] in wanted:
            kept += 1
        _close(parts, open_marks, kept)
        parts.append(left)
        for mark in wanted:
            if mark not in open_marks:
                parts.append(_SIGNS[mark])
                open_marks.append(mark)
        parts.append(code_span(bare) if "code" in run.marks else escape(bare))
        parts.append(right)
    _close(parts, open_marks, 0)
    return "".join(parts)


def _close(parts: list[str], open_marks: list[Mark], kept: int) -> None:
    """Closes the inner marks before the blanks that end the text written last."""
    if len(open_marks) <= kept:
        return
    blanks: list[str] = []
    while parts and not parts[-1].strip():
        blanks.append(parts.pop())
    while len(open_marks) > kept:
        parts.append(_SIGNS[open_marks.pop()])
    parts.extend(reversed(blanks))


def _joined(runs: Sequence[Run]) -> Iterator[Run]:
    for marks, group in groupby(runs, lambda run: run.marks):
        yield Run("".join(run.text for run in group), marks)


def _writable_marks(runs: Sequence[Run]) -> Iterator[Run]:
    """Drops the marks that Markdown cannot write: between a letter and punctuation a sign neither opens nor closes.

    https://spec.commonmark.org/0.31.2/#left-flanking-delimiter-run
    """
    for index, run in enumerate(runs):
        if not run.marks or not run.text:
            yield run
            continue
        before = runs[index - 1] if index else None
        after = runs[index + 1] if index + 1 < len(runs) else None
        dropped = {
            mark
            for mark in run.marks - {"code"}
            if (before and mark not in before.marks and before.text[-1:].isalnum() and _is_sign(run, run.text[:1]))
            or (after and mark not in after.marks and after.text[:1].isalnum() and _is_sign(run, run.text[-1:]))
        }
        yield Run(run.text, run.marks - dropped) if dropped else run


def _is_sign(run: Run, char: str) -> bool:
    return "code" in run.marks or not (char.isalnum() or char.isspace())


def _split_blanks(text: str) -> tuple[str, str, str]:
    bare = text.strip()
    start = text.index(bare)
    return text[:start], bare, text[start + len(bare) :]


def code_span(text: str) -> str:
    text = text.replace("\n", " ")
    longest = max((len(ticks) for ticks in BACKTICKS.findall(text)), default=0)
    fence = "`" * (longest + 1 if longest else 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
