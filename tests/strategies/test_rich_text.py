"""Rich text becomes Markdown that keeps all words, also where the markup is broken."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest_strategies.rich_text import adf_to_markdown, storage_links, storage_to_markdown, wiki_to_markdown

GOLDEN = Path(__file__).parent / "golden" / "rich_text.jsonl"
CASES = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
READERS = {"adf": adf_to_markdown, "wiki": wiki_to_markdown, "storage": storage_to_markdown}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_texts_are_converted_as_the_golden_file_has_them(case: dict[str, str]) -> None:
    assert READERS[case["form"]](case["source"]) == case["markdown"]


def _nodes() -> st.SearchStrategy[object]:
    kinds = st.sampled_from(
        [
            "doc",
            "paragraph",
            "text",
            "bulletList",
            "listItem",
            "table",
            "tableRow",
            "tableCell",
            "taskItem",
            "heading",
            "codeBlock",
            "mention",
            "emoji",
            "date",
            "panel",
            "expand",
            "media",
            "somethingNew",
            "status",
            "inlineCard",
        ]
    )
    anything = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
    attrs = (
        st.dictionaries(st.sampled_from(["level", "text", "url", "timestamp", "order", "title"]), anything) | anything
    )
    return st.recursive(
        st.fixed_dictionaries({"type": kinds}, optional={"text": anything, "attrs": attrs, "marks": anything}),
        lambda inner: st.fixed_dictionaries({"type": kinds, "content": st.lists(inner | anything, max_size=4)}),
        max_leaves=12,
    )


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(_nodes())
def test_no_document_of_adf_is_too_broken_to_read(document: object) -> None:
    adf_to_markdown(document)


@given(st.text(alphabet="abc *_-[]|{}!~^#\\\n\r{code}hbq.1", max_size=80))
def test_no_wiki_markup_is_too_broken_to_read_and_no_letter_is_lost(text: str) -> None:
    letters = [sign for sign in text if sign in "a"]
    assert wiki_to_markdown(text).count("a") >= len(letters) - text.count("panel") - text.count("anchor")


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("!a.png!", "![a.png](a.png)"),
        ("!a.png|thumbnail!", "![a.png](a.png)"),
        ("!https://host/a b.gif|align=right, vspace=4!", "![a b.gif](<https://host/a b.gif>)"),
        ("!1|a!", "!1|a!"),
        ("!important | not lost!", "!important | not lost!"),
        ("[site|https://host/|smart-link]", "[site](https://host/)"),
        ('[site|https://host/|the "tip"]', "[site](https://host/ \"the 'tip'\")"),
        ("[~ann]", "@ann"),
        ("[~ann|not lost]", "[~ann](<not lost>)"),
        ("[https://host/| ]", "[https://host/| ]"),
    ],
)
def test_only_how_an_image_or_a_link_is_shown_is_left_out(markup: str, expected: str) -> None:
    assert wiki_to_markdown(markup).strip() == expected


@given(st.text(alphabet="ab<>&;/\"'= acri:!-[]CDATA", max_size=80))
@example("<![:")
@example("<![CDATA[never closed")
def test_no_storage_format_is_too_broken_to_read(text: str) -> None:
    storage_to_markdown(text)
    list(storage_links(text))


def test_a_log_of_a_megabyte_is_converted_fast() -> None:
    line = "2024-01-01 [main] {thread} *not bold !image! ||a|| \\ " * 400
    text = "\n".join([line] * 50)
    assert len(wiki_to_markdown(text)) > len(text) * 0.9


def test_links_are_listed_in_their_order_with_their_targets() -> None:
    body = (
        '<p><a href="https://example.com/x?a=1&amp;b=2">out</a> <a href="#top">top</a>'
        '<ac:link><ri:page ri:content-title="Field &amp; notes" ri:space-key="OPS"/>'
        "<ac:plain-text-link-body><![CDATA[see > there]]></ac:plain-text-link-body></ac:link>"
        '<ac:image><ri:attachment ri:filename="a.png"/></ac:image><ac:image><ri:url ri:value="https://e.org/i.png"/></ac:image></p>'
    )
    links = [(link.text, link.url, link.title, link.space_key, link.file) for link in storage_links(body)]
    assert links == [
        ("out", "https://example.com/x?a=1&b=2", None, None, None),
        ("see > there", None, "Field & notes", "OPS", None),
        ("", None, None, None, "a.png"),
        ("", "https://e.org/i.png", None, None, None),
    ]
