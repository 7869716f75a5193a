"""No word of a visible text is lost, whatever the format, and a reader of the Markdown sees it."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from ingest_strategies.rich_text import adf_to_markdown, storage_to_markdown, wiki_to_markdown
from tests.strategies.rich_text_documents import adf_documents, storage_bodies, wiki_texts
from tests.strategies.visible_words import adf_words, shown_words, storage_words, wiki_words

DATA = Path(__file__).parents[3] / "shared" / "data"
real_data = pytest.mark.skipif(not DATA.exists(), reason=f"the real texts are not at {DATA}")
GENERATED = int(os.environ.get("INGEST_RICH_TEXT_DOCUMENTS", "60"))
generated = settings(max_examples=GENERATED, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def lines_of(name: str, most: int | None = None) -> Iterator[Any]:
    with gzip.open(DATA / name) as lines:
        for number, line in enumerate(lines):
            if number == most:
                return
            yield json.loads(line)


@generated
@given(storage_bodies())
def test_no_word_of_storage_format_is_lost(body: str) -> None:
    assert storage_words(body) - shown_words(storage_to_markdown(body)) == set()


@generated
@given(adf_documents())
def test_no_word_of_a_document_is_lost(document: dict[str, Any]) -> None:
    assert adf_words(document) - shown_words(adf_to_markdown(document)) == set()


@generated
@given(wiki_texts())
def test_no_word_of_wiki_markup_is_lost(text: str) -> None:
    assert wiki_words(text) - shown_words(wiki_to_markdown(text)) == set()


@real_data
def test_no_word_of_real_pages_is_lost() -> None:
    lost = {}
    for body in lines_of("confluence-bodies.jsonl.gz"):
        is_storage = body["format"] == "storage"
        words = storage_words(body["body"]) if is_storage else adf_words(body["body"])
        markdown = storage_to_markdown(body["body"]) if is_storage else adf_to_markdown(body["body"])
        if missing := {word for word in words - shown_words(markdown) if word not in markdown}:
            lost[body["name"]] = missing
    assert lost == {}


@real_data
def test_no_word_of_real_issues_is_lost() -> None:
    lost = []
    for issue in lines_of("jira-issues.jsonl.gz", most=60 if GENERATED < 1_000 else None):
        fields = issue["fields"]
        comments = (fields.get("comment") or {}).get("comments", [])
        for text in filter(None, [fields.get("description"), *(comment.get("body") for comment in comments)]):
            markdown = wiki_to_markdown(text)
            missing = {word for word in wiki_words(text) - shown_words(markdown) if word not in markdown}
            if missing:
                lost.append((issue["key"], missing))
    assert lost == []
