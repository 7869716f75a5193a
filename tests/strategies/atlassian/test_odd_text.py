"""NUL and halves of characters in texts of every unit: a row lands whole, or is alone in quarantine; no list, slice or run fails of them."""

from functools import partial
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import pytest

from ingest_ray.run import launch
from ingest_ray.sdk.types import Endpoint, RunMode, RunState
from ingest_ray.simulators.atlassian import simulate
from ingest_ray.testing.dry_run import Outcome, Rehearsal
from ingest_strategies.atlassian.json_decoding import MARKED, mark_half_characters, stored_value, unmarked
from ingest_strategies.confluence import http as wiki_http
from ingest_strategies.confluence.tables import TABLES as WIKI_TABLES
from ingest_strategies.jira import http as jira_http
from ingest_strategies.jira.tables import TABLES as JIRA_TABLES
from tests.fuzz.corruption import damaging
from tests.strategies.confluence import site as wiki
from tests.strategies.jira import site as jira
from tests.strategies.test_odd_objects import Rewriting, objects_of

pytestmark = pytest.mark.slow
Mode = Literal["cloud", "dc"]
TEXTS = frozenset(
    [
        "title",
        "displayName",
        "summary",
        "description",
        "value",
        "filename",
        "fileName",
        "message",
        "comment",
        "text",
        "goal",
        "body",
        "content",
        "label",
        "emailAddress",
        "toString",
        "fromString",
        "object",
        "inward",
        "outward",
        "webui",
        "download",
        "tinyui",
    ]
)
IDENTITIES = ("accountId", "userKey", "username", "schema", "accountType", "self")
"""`name` is spoiled where it is no identity: not of people and fields."""
ENDS = ("\0", "\ud800", "\0 and \udfff")


def spoiled(text: str) -> str:
    """The same text always ends the same way, wherever the site gives it; of seven, three are odd."""
    number = crc32(text.encode()) % 7
    return text + ENDS[number] if number < len(ENDS) else text


def spoil(path: str, document: Any, *, is_cloud: bool) -> None:
    """On Data Center the name of a group is its identity, which requests name."""
    for found in objects_of(document):
        is_group = not is_cloud and ("/group" in path or found.get("type") == "group")
        for name, value in found.items():
            is_name = name == "name" and not is_group and not any(word in found for word in IDENTITIES)
            if (name in TEXTS or is_name) and isinstance(value, str):
                found[name] = spoiled(value)
            if name == "labels" and isinstance(value, list):
                found[name] = [spoiled(label) if isinstance(label, str) else label for label in value]


def is_whole(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(is_whole, value))
    return not isinstance(value, str) or (
        MARKED not in value and not any(0xD800 <= ord(sign) <= 0xDFFF for sign in value)
    )


def outcome_of(product: Any, sim: Any, unit: str, mode: RunMode, **config: Any) -> Outcome:
    site, strategy = (jira, jira_http) if product == "jira" else (wiki, wiki_http)
    spec = site.Lake(Path(), site.endpoint_of(sim, retry_wait_s=0.001, **config), unit=unit, mode=mode).spec()
    return Rehearsal(strategy, spec).run()


def units_of(product: str) -> list[str]:
    tables = JIRA_TABLES if product == "jira" else WIKI_TABLES
    return [name for name in tables if name not in ("jira.statuses", "jira.priorities", "jira.issue_types")]


def check_unit(product: Any, sim: Any, url: str, unit: str) -> tuple[int, int]:
    """(rows, rejects)"""
    config: Any = {"custom_content_types": ["ac:polls:poll"]} if product == "confluence" else {}
    try:
        clean = outcome_of(product, sim, unit, RunMode.FULL, **config)
    except KeyError:
        return 0, 0  # the deployment has no such unit
    odd = outcome_of(product, sim, unit, RunMode.FULL, base_url=url, **config)
    assert len(odd.rows) + len(odd.rejects) == len(clean.rows) + len(clean.rejects), (unit, odd.rejects[:3])
    for row in odd.rows:
        assert all(map(is_whole, row.values())), (unit, row)
    return len(odd.rows), len(odd.rejects)


@pytest.mark.parametrize(
    ("product", "mode"),
    [
        ("confluence", "cloud"),
        pytest.param("jira", "cloud", marks=pytest.mark.faults),
        pytest.param("jira", "dc", marks=pytest.mark.faults),
        pytest.param("confluence", "dc", marks=pytest.mark.faults),
    ],
)
def test_each_row_of_every_unit_lands_whole_or_is_alone_in_quarantine(product: Any, mode: Mode) -> None:
    size: Any = {"issues": 40, "projects": 2} if product == "jira" else {"pages": 60, "spaces": 2}
    failures, counts = [], {}
    with (
        simulate(product, mode, frozen=True, **size) as sim,
        damaging(sim.url.rstrip("/"), Rewriting(partial(spoil, is_cloud=mode == "cloud"))) as url,  # type: ignore[arg-type]
    ):
        for unit in units_of(product):
            try:
                counts[unit] = check_unit(product, sim, url, unit)
            except Exception as error:
                failures.append(f"{unit}: {type(error).__name__}: {str(error)[:1500]}")
    print(counts)
    assert not failures, "\n".join(failures)
    assert sum(rejects for _, rejects in counts.values())


@pytest.mark.parametrize("sink", ["delta", "sqlite", "postgres"])
@pytest.mark.parametrize(("product", "mode"), [("jira", "dc"), ("confluence", "cloud")])
def test_each_row_is_in_the_sink_or_in_quarantine(
    request: pytest.FixtureRequest, tmp_path: Path, product: Any, mode: Mode, sink: str
) -> None:
    site: Any = jira if product == "jira" else wiki
    size: Any = {"issues": 40, "projects": 1} if product == "jira" else {"pages": 40, "spaces": 2}
    url = f"sqlite:///{tmp_path}/sink.db" if sink == "sqlite" else ""
    if sink == "postgres":
        url = request.getfixturevalue("pg").url
    with (
        simulate(product, mode, frozen=True, **size) as sim,
        damaging(sim.url.rstrip("/"), Rewriting(partial(spoil, is_cloud=mode == "cloud"))) as spoiled_url,  # type: ignore[arg-type]
    ):
        lake = site.Lake(tmp_path, site.endpoint_of(sim, base_url=spoiled_url, retry_wait_s=0.001))
        order = lake.order()
        if url:
            order = order.model_copy(update={"sink": Endpoint(endpoint_id="lake", template="sql", config={"url": url})})
        (summary,) = launch([order], lambda progress: None, lambda: False)
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert summary.rows.committed + summary.rows.quarantined == len(list(sim.expected()))
        assert summary.rows.committed > 0 < summary.rows.quarantined


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\ufdd0 alone"', r'"\\ufdd0ud800"', r'"\ud83d\ude00 \udfff\u0000"'])
def test_json_text_is_stored_as_it_came(text: str) -> None:
    assert unmarked(mark_half_characters(text.encode())) == text.encode()


def test_a_noncharacter_that_a_site_has_is_no_half_of_a_character() -> None:
    mark_half_characters(rb'"\ud800"')
    assert stored_value(["\ufdd0 alone"]) == ["\ufdd0 alone"]
    with pytest.raises(ValueError, match="half"):
        stored_value(["\ufdd0ud800"])
