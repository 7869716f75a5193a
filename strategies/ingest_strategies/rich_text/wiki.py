"""Converts Jira's wiki markup (Data Center, and version 2 of the Cloud API) to Markdown, line by line and in linear time.

https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all. Bodies hold whole logs, up to megabytes: every pattern here
is applied to one line, and at most once from each position. Text in `{code}` and `{noformat}` is not converted.
"""

import re
from collections.abc import Iterator

_FENCE = re.compile(r"\{(code|noformat)(?::([^}]*))?\}")
_HEADING = re.compile(r"^\s*h([1-6])\.\s*(.*)$")
_ITEM = re.compile(r"^\s*([*#-]{1,9})\s+(\S.*)$")
_BLOCKQUOTE = re.compile(r"^\s*bq\.\s+(.*)$")
_BLOCK_TAG = re.compile(r"\{(quote|panel)(?::([^}]*))?\}")
_INLINE_TAG = re.compile(r"\{(?:color|anchor|toc)(?::[^}\n]*)?\}")
_LINK = re.compile(r"\[([^\[\]\n]{1,2000})\]")
# Display options must follow the bar of an image: two table cells between exclamation marks are no image.
_OPTION = r"\s*(?:thumbnail|\w+\s*=[^!|,\n]{0,100})\s*"
_IMAGE = re.compile(rf"(?<![\w!])!([^\s!|][^!|\n]{{0,300}})(?:\|{_OPTION}(?:,{_OPTION}){{0,10}})?!(?!\w)")
_CARDS = {"smart-link", "smart-card", "smart-embed"}  # display options of links on Cloud
_STRONG = re.compile(r"(?<![\w*\\])\*(?=[^\s*])([^*\n]{0,1000}?[^\s*])\*(?![\w*])")
_MONO = re.compile(r"\{\{([^}\n]{1,2000})\}\}")
_ESCAPED = re.compile(r"\\([\\\[\]{}*_+^~!|#-])")
_RULE = re.compile(r"^\s*-{4,}\s*$")
_MOST_LINE = 20_000  # characters: a longer line is data, not prose


def wiki_to_markdown(text: str) -> str:
    lines: list[str] = []
    quoted = False
    for is_code, language, part in _parts(text.replace("\r\n", "\n").replace("\r", "\n")):
        if is_code:
            fence = "```" if "```" not in part else "````"
            block = [f"{fence}{language}", *part.strip("\n").split("\n"), fence]
            lines += [f"> {line}" for line in block] if quoted else block
            continue
        for line in part.split("\n"):
            converted, quoted = _line(line, quoted)
            lines += converted
    return "\n".join(_with_table_heads(lines)).strip()


def _parts(text: str) -> Iterator[tuple[bool, str, str]]:
    """(is code, language, text), prose and code in turn; an unclosed fence is prose."""
    start = 0
    while (opening := _FENCE.search(text, start)) is not None:
        closing = text.find(f"{{{opening[1]}}}", opening.end())
        if closing < 0:
            text = text[: opening.start()] + text[opening.end() :]  # at most once for each of the two kinds
            continue
        yield False, "", text[start : opening.start()].rstrip("\n")
        yield True, _language(opening[2] or ""), text[opening.end() : closing]
        start = closing + len(opening[1]) + 2
        if text[start : start + 1] == "\n":
            start += 1
    yield False, "", text[start:]


def _language(parameters: str) -> str:
    """`java|title=Foo.java` -> `java`."""
    first = parameters.split("|", 1)[0].strip()
    return first if re.fullmatch(r"[\w+#.-]{1,20}", first) else ""


def _line(line: str, quoted: bool) -> tuple[list[str], bool]:
    """The converted lines, and whether the next line is quoted."""
    if len(line) > _MOST_LINE:
        return [line], quoted
    title = ""
    for tag in _BLOCK_TAG.finditer(line):
        quoted = not quoted
        match = re.search(r"title=([^|}]*)", tag[2] or "")
        title = f"**{match[1]}** " if match and quoted else title
    has_tag = _BLOCK_TAG.search(line) is not None
    bare = title + _BLOCK_TAG.sub("", line)
    if has_tag and not bare.strip():
        return [""] if not quoted else [], quoted
    block = _block(bare)
    return [f"> {block}" if quoted or (has_tag and "{quote}" in line) else block], quoted


def _block(line: str) -> str:
    if heading := _HEADING.match(line):
        return f"{'#' * int(heading[1])} {_inline(heading[2])}"
    if _RULE.match(line):
        return "---"
    if item := _ITEM.match(line):
        sign = "1." if item[1][-1] == "#" else "-"
        return f"{'  ' * (len(item[1]) - 1)}{sign} {_inline(item[2])}"
    if quote := _BLOCKQUOTE.match(line):
        return f"> {_inline(quote[1])}"
    if line.lstrip().startswith("||"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("||")]
        return f"{_HEAD}| {' | '.join(map(_inline, cells))} |"
    return _inline(line)


_HEAD = "\0head\0"


def _with_table_heads(lines: list[str]) -> Iterator[str]:
    for line in lines:
        bare = line.replace(_HEAD, "")
        yield bare
        if _HEAD in line:
            yield f"|{' --- |' * max(1, bare.count(' | ') + 1)}"


def _inline(text: str) -> str:
    if "{" in text:
        text = _INLINE_TAG.sub("", _MONO.sub(r"`\1`", text))
    if "[" in text:
        text = _LINK.sub(_link, text)
    if "!" in text:
        text = _IMAGE.sub(lambda image: f"![{image[1].rpartition('/')[2]}]({image[1]})", text)
    if "*" in text:
        text = _STRONG.sub(r"**\1**", text)
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _link(match: re.Match[str]) -> str:
    """`[text|url]`, `[text|url|tip]`, `[url]`, `[~user]`, `[^file]`; other brackets are no links."""
    label, bar, rest = match[1].partition("|")
    target, _, tip = (part.strip() for part in rest.partition("|"))
    if label.startswith("~") and not bar:
        return f"@{label[1:].removeprefix('accountid:')}"
    if label.startswith("^") and not bar:
        return f"[file: {label[1:]}]"
    if target:
        title = "" if not tip or tip in _CARDS else ' "{}"'.format(tip.replace('"', "'"))
        return f"[{label.strip()}]({target}{title})"
    return f"<{label}>" if re.match(r"(https?|ftp|mailto|file):", label) and not bar else match[0]
