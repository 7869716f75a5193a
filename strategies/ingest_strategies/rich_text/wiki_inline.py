"""Wiki markup inside a line: marks, links, images, persons."""

import re
from collections.abc import Callable
from dataclasses import replace

from ingest_strategies.rich_text.document import Mark, Run

# Display options must follow the bar of an image: two table cells between exclamation marks are no image.
_OPTION = r"\s*(?:thumbnail|\w+\s*=[^!|,\n]{0,100})\s*"
_FILE = r"[^\s!|][^!|\n]{0,300}?\.\w{1,5}|https?://[^\s!|]{1,300}(?: [^!|\n]{0,100})?"
_TOKENS = (
    ("line_break", r"\\\\(?=\s|$)"),
    ("escaped", r"\\[\\\[\]{}*_+^~!|#?-]"),
    ("mono", r"\{\{[^{}\n]{1,2000}\}\}"),
    ("tag", r"\{(?:color|anchor|toc)(?::[^}\n]{0,500})?\}"),
    ("link", r"\[[^\[\]\n]{1,2000}\]"),
    ("image", rf"(?<![\w!])!(?:{_FILE})(?:\|{_OPTION}(?:,{_OPTION}){{0,10}})?!(?!\w)"),
    ("braced", r"\{[*_-]\}(?=[^\s{}][^{}\n]{0,1000}\{[*_-]\})"),
    ("strong", r"(?<![\w*\\])\*(?=[^\s*])[^*\n]{0,1000}?[^\s*]\*(?![\w*])"),
    ("em", r"(?<![\w_\\])_(?=[^\s_])[^_\n]{0,1000}?[^\s_]_(?![\w_])"),
    ("strike", r"(?<![\w\\-])-(?=[^\s-])[^-\n]{0,1000}?[^\s-]-(?![\w-])"),
)
_TOKEN = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _TOKENS))
_MARKUP = re.compile(r"[\\{\[!*_-]")  # a line without these signs has no token
_BRACED: dict[str, Mark] = {"*": "strong", "_": "em", "-": "strike"}
_CARDS = frozenset({"smart-link", "smart-card", "smart-embed"})  # display options of links on Cloud
_URL = re.compile(r"(?:https?|ftp|mailto|file):")
_MOST_DEPTH = 3  # of marks inside each other


def inline_runs(text: str, style: Run | None = None, depth: int = 0) -> list[Run]:
    style = style or Run("")
    if _MARKUP.search(text) is None:
        return [style.with_text(text)]
    runs: list[Run] = []
    start = 0
    while (match := _TOKEN.search(text, start)) is not None:
        if match.start() > start:
            runs.append(style.with_text(text[start : match.start()]))
        start = match.end()
        kind = match.lastgroup or ""
        if kind == "braced":
            start = _add_braced(text, match, style, depth, runs)
        else:
            _ADDERS[kind](match[0], style, depth, runs, text[start : start + 1])
    if start < len(text):
        runs.append(style.with_text(text[start:]))
    return runs


def _add_braced(text: str, match: re.Match[str], style: Run, depth: int, runs: list[Run]) -> int:
    """`{*}bold{*}` inside a word. Returns where the text goes on."""
    sign = match[0]
    end = text.find(sign, match.end())
    if end < 0 or depth >= _MOST_DEPTH:
        runs.append(style.with_text(sign))
        return match.end()
    inner = replace(style, marks=style.marks | {_BRACED[sign[1]]})
    runs += inline_runs(text[match.end() : end], inner, depth + 1)
    return end + len(sign)


def _add_line_break(token: str, style: Run, depth: int, runs: list[Run], after: str) -> None:
    runs.append(Run("\n"))


def _add_escaped(token: str, style: Run, depth: int, runs: list[Run], after: str) -> None:
    runs.append(style.with_text(token[1]))


def _add_mono(token: str, style: Run, depth: int, runs: list[Run], after: str) -> None:
    runs.append(replace(style, text=token[2:-2], marks=style.marks | {"code"}))


def _drop(token: str, style: Run, depth: int, runs: list[Run], after: str) -> None:
    return


def _marker(mark: Mark) -> Callable[[str, Run, int, list[Run], str], None]:
    def add(token: str, style: Run, depth: int, runs: list[Run], after: str) -> None:
        if depth >= _MOST_DEPTH:
            runs.append(style.with_text(token))
            return
        runs += inline_runs(token[1:-1], replace(style, marks=style.marks | {mark}), depth + 1)

    return add


def _add_image(token: str, style: Run, depth: int, runs: list[Run], after: str) -> None:
    target = token[1:-1].partition("|")[0].strip()
    runs.append(Run(target.rpartition("/")[2] or target, href=target, is_image=True))


def _add_link(token: str, style: Run, depth: int, runs: list[Run], after: str) -> None:
    """`[text|url]`, `[text|url|tip]`, `[url]`, `[~user]`, `[^file]`; other brackets are no links."""
    label, bar, rest = token[1:-1].partition("|")
    target, _, tip = (part.strip() for part in rest.partition("|"))
    if label.startswith("~") and not bar:
        before = " " if runs and runs[-1].text[-1:].isalnum() else ""
        behind = " " if after.isalnum() else ""
        runs.append(style.with_text(f"{before}@{label[1:].removeprefix('accountid:')}{behind}"))
    elif label.startswith("^") and not bar:
        runs.append(style.with_text(f"[file: {label[1:]}]"))
    elif target:
        title = None if not tip or tip in _CARDS else tip
        inner = inline_runs(label.strip(), replace(style, href=target, title=title), _MOST_DEPTH)
        shown = [run for run in inner if run.text]
        runs += shown or [replace(style, text=target, href=target)]
        if any(run.is_image for run in shown):
            runs += [style.with_text(" "), replace(style, text=target, href=target)]
    elif _URL.match(label) and not bar:
        runs.append(replace(style, text=label, href=label))
    else:
        runs.append(style.with_text("["))
        runs += inline_runs(token[1:-1], style, depth + 1) if depth < _MOST_DEPTH else [style.with_text(token[1:-1])]
        runs.append(style.with_text("]"))


_ADDERS: dict[str, Callable[[str, Run, int, list[Run], str], None]] = {
    "line_break": _add_line_break,
    "escaped": _add_escaped,
    "mono": _add_mono,
    "tag": _drop,
    "link": _add_link,
    "image": _add_image,
    "strong": _marker("strong"),
    "em": _marker("em"),
    "strike": _marker("strike"),
}
