"""Confluence's storage format -> Markdown, and the links in it. https://confluence.atlassian.com/doc/confluence-storage-format-790796544.html

HTML is `markdownify`'s; what Confluence adds (`ac:` macros and links, `ri:` resources) is turned into HTML first.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

import markdownify
from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString

_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_DECLARATION = re.compile(r"<!(?!--)")  # the format has none, and the parser refuses some that are none
_QUOTES = frozenset({"info", "note", "tip", "warning", "panel", "excerpt", "expand"})
_BLANKS = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Found:
    """A link of a page: to a URL, to another page by title (and space, where it is another), or to a file of a page."""

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
    for junk in soup.find_all(["ac:parameter", "ac:placeholder"]):
        junk.decompose()
    made: str = markdownify.markdownify(
        str(soup), heading_style="ATX", bullets="-", escape_misc=False, escape_underscores=False
    )
    return _BLANKS.sub("\n\n", "\n".join(line.rstrip() for line in made.split("\n"))).strip()


def storage_links(body: str) -> Iterator[Found]:
    """In their order, each as often as it is there."""
    for link in _parsed(body).find_all(["ac:link", "ac:image", "a"]):
        if link.name == "a":
            href = str(link.get("href") or "").strip()
            if href and not href.startswith("#"):
                yield Found(link.get_text(" ", strip=True), url=href)
            continue
        text = (link.find(["ac:link-body", "ac:plain-text-link-body"]) or Tag(name="x")).get_text(" ", strip=True)
        page = link.find(["ri:page", "ri:blog-post", "ri:content-entity"])
        file, url = link.find("ri:attachment"), link.find("ri:url")
        if file is not None:
            yield Found(text, file=_attr(file, "ri:filename"), title=_attr(page, "ri:content-title"))
        elif url is not None and _attr(url, "ri:value"):
            yield Found(text, url=_attr(url, "ri:value"))
        elif page is not None:
            yield Found(
                text,
                title=_attr(page, "ri:content-title"),
                space_key=_attr(page, "ri:space-key"),
                content_id=_attr(page, "ri:content-id"),
            )


def _parsed(body: str) -> BeautifulSoup:
    """Sections of character data are written as text first: HTML has none."""
    text = _CDATA.sub(lambda found: html.escape(found[1]), body)
    return BeautifulSoup(_DECLARATION.sub("&lt;!", text), "html.parser")


def _attr(tag: Tag | None, name: str) -> str | None:
    value = tag.get(name) if isinstance(tag, Tag) else None
    return str(value) if value else None


def _element(soup: BeautifulSoup, name: str, text: str) -> Tag:
    made = soup.new_tag(name)
    made.string = text
    return made


def _as_html(soup: BeautifulSoup, macro: Tag) -> None:
    """Code becomes code, boxes become quotes; of other macros what is in them stays."""
    name = _attr(macro, "ac:name") or ""
    parameters = {_attr(one, "ac:name"): one.get_text() for one in macro.find_all("ac:parameter", recursive=False)}
    code = macro.find("ac:plain-text-body", recursive=False)
    if code is not None:
        made = soup.new_tag("pre")
        made.append(_element(soup, "code", code.get_text()))
        macro.replace_with(made)
        return
    body = macro.find("ac:rich-text-body", recursive=False)
    if body is None:
        said = parameters.get("title") or parameters.get("key") or ""
        macro.replace_with(NavigableString(f"[{said}]" if said else ""))
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
        said = text or f"@{name}"
    elif file is not None:
        said = text or f"[file: {_attr(file, 'ri:filename')}]"
    elif url is not None:
        said = text or str(_attr(url, "ri:value"))
    else:
        said = text or str(_attr(page, "ri:content-title") or "")
    link.replace_with(NavigableString(said))
