"""Converts Confluence's storage format to Markdown, and lists its links.

Confluence's own elements (`ac:` macros and links, `ri:` resources) become HTML; `markdownify` converts the HTML.
https://confluence.atlassian.com/doc/confluence-storage-format-790796544.html
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

import markdownify
from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString

_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_DECLARATION = re.compile(
    r"<!(?!--)"
)  # the format has no declarations, and the parser raises for some texts that look like one
_QUOTES = frozenset({"info", "note", "tip", "warning", "panel", "excerpt", "expand"})
_BLANKS = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Link:
    """A link of a page: to a URL, to another page by title (and space key, for another space), or to a file of a page."""

    text: str
    url: str | None = None
    title: str | None = None
    space_key: str | None = None
    content_id: str | None = None
    file: str | None = None


def storage_to_markdown(body: str) -> str:
    soup = _parsed(body)
    for macro in soup.find_all("ac:structured-macro"):
        _as_html(soup, macro)
    for link in soup.find_all(["ac:link", "ac:image"]):
        _link_as_html(soup, link)
    for task in soup.find_all("ac:task"):
        done = (task.find("ac:task-status") or Tag(name="x")).get_text() == "complete"
        text = task.find("ac:task-body")
        task.replace_with(
            _element(soup, "li", f"[{'x' if done else ' '}] {text.get_text(' ', strip=True) if text else ''}")
        )
    for invisible in soup.find_all(["ac:parameter", "ac:placeholder"]):
        invisible.decompose()
    markdown: str = markdownify.markdownify(
        str(soup), heading_style="ATX", bullets="-", escape_misc=False, escape_underscores=False
    )
    return _BLANKS.sub("\n\n", "\n".join(line.rstrip() for line in markdown.split("\n"))).strip()


def storage_links(body: str) -> Iterator[Link]:
    """In their order, with repetitions."""
    for link in _parsed(body).find_all(["ac:link", "ac:image", "a"]):
        if link.name == "a":
            href = str(link.get("href") or "").strip()
            if href and not href.startswith("#"):
                yield Link(link.get_text(" ", strip=True), url=href)
            continue
        text = (link.find(["ac:link-body", "ac:plain-text-link-body"]) or Tag(name="x")).get_text(" ", strip=True)
        page = link.find(["ri:page", "ri:blog-post", "ri:content-entity"])
        file, url = link.find("ri:attachment"), link.find("ri:url")
        if file is not None:
            yield Link(text, file=_attr(file, "ri:filename"), title=_attr(page, "ri:content-title"))
        elif url is not None and _attr(url, "ri:value"):
            yield Link(text, url=_attr(url, "ri:value"))
        elif page is not None:
            yield Link(
                text,
                title=_attr(page, "ri:content-title"),
                space_key=_attr(page, "ri:space-key"),
                content_id=_attr(page, "ri:content-id"),
            )


def _parsed(body: str) -> BeautifulSoup:
    """Turns CDATA sections into text first: HTML has none."""
    text = _CDATA.sub(lambda match: html.escape(match[1]), body)
    return BeautifulSoup(_DECLARATION.sub("&lt;!", text), "html.parser")


def _attr(tag: Tag | None, name: str) -> str | None:
    value = tag.get(name) if isinstance(tag, Tag) else None
    return str(value) if value else None


def _element(soup: BeautifulSoup, name: str, text: str) -> Tag:
    element = soup.new_tag(name)
    element.string = text
    return element


def _as_html(soup: BeautifulSoup, macro: Tag) -> None:
    """Code becomes code, boxes become quotes; other macros become their content."""
    name = _attr(macro, "ac:name") or ""
    parameters = {_attr(tag, "ac:name"): tag.get_text() for tag in macro.find_all("ac:parameter", recursive=False)}
    code = macro.find("ac:plain-text-body", recursive=False)
    if code is not None:
        block = soup.new_tag("pre")
        block.append(_element(soup, "code", code.get_text()))
        macro.replace_with(block)
        return
    body = macro.find("ac:rich-text-body", recursive=False)
    if body is None:
        label = parameters.get("title") or parameters.get("key") or ""
        macro.replace_with(NavigableString(f"[{label}]" if label else ""))
        return
    body.name = "blockquote" if name in _QUOTES else "div"
    if parameters.get("title"):
        body.insert(0, _element(soup, "p", str(parameters["title"])))
    macro.replace_with(body.extract())


def _link_as_html(soup: BeautifulSoup, link: Tag) -> None:
    text = (link.find(["ac:link-body", "ac:plain-text-link-body"]) or Tag(name="x")).get_text(" ", strip=True)
    person, file, url = link.find("ri:user"), link.find("ri:attachment"), link.find("ri:url")
    page = link.find(["ri:page", "ri:blog-post"])
    if person is not None:
        name = _attr(person, "ri:account-id") or _attr(person, "ri:userkey") or _attr(person, "ri:username")
        label = text or f"@{name}"
    elif file is not None:
        label = text or f"[file: {_attr(file, 'ri:filename')}]"
    elif url is not None:
        label = text or str(_attr(url, "ri:value"))
    else:
        label = text or str(_attr(page, "ri:content-title") or "")
    link.replace_with(NavigableString(label))
