"""Bodies that no editor makes: text comes out, in time that grows with their length."""

import time
from collections.abc import Callable

import pytest

from ingest_strategies.rich_text import storage_links, storage_to_markdown, wiki_to_markdown


def nested(tag: str, depth: int, is_closed: bool) -> str:
    return f"<{tag}>" * depth + "kept" + (f"</{tag}>" * depth if is_closed else "")


@pytest.mark.parametrize("tag", ["div", "p", "blockquote", "ul", "table", "strong", "span", "ac:layout", "future"])
@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("depth", [100, 1_000, 5_000])
def test_elements_of_any_depth_keep_their_text(tag: str, is_closed: bool, depth: int) -> None:
    body = nested(tag, depth, is_closed)
    assert "kept" in storage_to_markdown(body)
    list(storage_links(body))


def test_a_body_beyond_the_parsers_depth_is_plain_text_in_lines() -> None:
    body = nested("div", 5_000, True) + "<p>second</p>\n<p>third &amp; last</p>"
    assert {"kept", "second", "third", "last"} <= set(storage_to_markdown(body).replace("*", " ").split())


HOSTILE: dict[str, tuple[Callable[[str], str], str]] = {
    "CDATA never closed": (storage_to_markdown, "<![CDATA["),
    "comment never closed": (storage_to_markdown, "<!-- "),
    "paragraph never closed": (storage_to_markdown, "<p>a"),
    "ampersands": (storage_to_markdown, "&a"),
    "bars": (storage_to_markdown, "|||x"),
    "noformat never closed": (wiki_to_markdown, "{noformat:title=x}"),
    "noformat half opened": (wiki_to_markdown, "{noformat:"),
    "mono never closed": (wiki_to_markdown, "{{"),
    "marks never closed": (wiki_to_markdown, "*a _b -c !d [e "),
    "marks in braces": (wiki_to_markdown, "{*}a"),
    "bars and code": (wiki_to_markdown, "|{code}"),
    "quotes": (wiki_to_markdown, "{quote}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_length(name: str) -> None:
    """Four times the length takes about four times the time; a quadratic reader takes sixteen times."""
    convert, piece = HOSTILE[name]

    def cpu_s(repeats: int) -> float:
        began = time.process_time()
        convert(piece * repeats)
        return time.process_time() - began

    repeats = 1_000
    while (short_s := min(cpu_s(repeats) for _ in range(2))) < 0.01 and repeats < 32_000:
        repeats *= 2
    assert min(cpu_s(4 * repeats) for _ in range(2)) < 11 * max(short_s, 0.005)
