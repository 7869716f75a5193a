"""`docs/text.md` says what the tables of the rich text converters say."""

from pathlib import Path

from ingest_strategies.rich_text.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "text.md"


def test_the_page_about_text_is_written_from_the_code() -> None:
    assert PAGE.read_text() == f"{reference()}\n", "run: python -m ingest_strategies.rich_text.reference > docs/text.md"
