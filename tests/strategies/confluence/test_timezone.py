"""The zone in which an instance reads CQL: how it is found, and by how many questions."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.simulators.atlassian import Simulation
from ingest_strategies.confluence.api.cql import QUARTER_MS
from ingest_strategies.confluence.api.deployment import detect_api
from ingest_strategies.confluence.api.search import DatedContent
from ingest_strategies.confluence.planning import timezone
from tests.strategies.confluence.site import endpoint_of

SAMPLE = DatedContent("7", int(datetime(2026, 3, 1, 10, 3, tzinfo=UTC).timestamp() * 1000))


class Index:
    """Answers as an index would that has the sample at an instant, and reads times at an offset."""

    def __init__(self, quarters: int, changed_ms: int = SAMPLE.changed_ms) -> None:
        self.local_ms = changed_ms + quarters * QUARTER_MS
        self.questions = 0

    def __call__(self, where: str) -> bool:
        self.questions += 1
        text = re.search(r'lastmodified >= "(.*)"', where)
        assert text is not None
        asked = datetime.strptime(text[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        return self.local_ms >= asked.timestamp() * 1000


def test_every_offset_is_found_whatever_was_expected() -> None:
    for quarters in range(timezone.EARLIEST, timezone.LATEST + 1):
        for expected in (timezone.EARLIEST, -20, 0, quarters - 1, quarters, quarters + 1, timezone.LATEST):
            index = Index(quarters)
            assert timezone.find_offset(SAMPLE, index, expected) == quarters
            assert index.questions <= (2 if expected == quarters else 11)


@pytest.mark.parametrize("days", [-3, 3])
def test_content_that_the_index_has_at_another_time_gives_no_offset(days: int) -> None:
    with pytest.raises(SourceChanged, match="another time"):
        timezone.find_offset(SAMPLE, Index(4, SAMPLE.changed_ms + days * 86_400_000), 4)


def test_a_zone_is_found_by_two_questions_for_each_season_but_the_first(
    static_site: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[Any] = []
    count = timezone.count_content

    def counted(client: Any, where: str) -> int:
        questions.append(where)
        return count(client, where)

    monkeypatch.setattr(timezone, "count_content", counted)
    with detect_api(endpoint_of(static_site)) as api:
        assert timezone.find_zone(api.client, api.client.read_clock_ms()) == "America/New_York"
    assert len(questions) <= 11 + 2 * (timezone.SEASONS - 1)
