"""Rich text of Jira and Confluence as Markdown that people can read: Atlassian Document Format, wiki markup, storage format.

Reading is forgiving: what a text says is kept even where its markup is broken or unknown, and only the form is lost. The original is
in raw mode's payload.
"""

from ingest_strategies.rich_text.adf import adf_to_markdown
from ingest_strategies.rich_text.storage import storage_links, storage_to_markdown
from ingest_strategies.rich_text.wiki import wiki_to_markdown

__all__ = ["adf_to_markdown", "storage_links", "storage_to_markdown", "wiki_to_markdown"]
