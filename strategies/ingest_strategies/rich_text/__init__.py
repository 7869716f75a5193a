"""Converts rich text of Jira and Confluence to Markdown: Atlassian Document Format, wiki markup, storage format.

Each format is read into the blocks of `document.py`, which `markdown.py` writes. The conversion keeps the words of a text even where
its markup is broken or unknown; only formatting is lost. The original is in raw mode's payload.
"""

from ingest_strategies.rich_text.adf import adf_to_markdown
from ingest_strategies.rich_text.storage import storage_to_markdown
from ingest_strategies.rich_text.storage_links import Link, storage_links
from ingest_strategies.rich_text.wiki import wiki_to_markdown

__all__ = ["Link", "adf_to_markdown", "storage_links", "storage_to_markdown", "wiki_to_markdown"]
