"""Questions that an analyst asks about Confluence, answered in SQL over the common data model, against the simulator's truth.

Every unit that has a mapper is selected by one pattern.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest_ray.cdm import MODELS
from ingest_ray.config import load_config
from ingest_ray.sdk.types import RunState
from ingest_ray.service.endpoints.apply import apply
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.endpoints.provision import provision
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.execution import run
from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.strategies.confluence.site import endpoint_of

pytestmark = pytest.mark.slow
EPOCH_DAY_MS = 86_400_000
WIKI = "wiki"
UNMAPPED = {"label", "task", "space_role", "like"}
TREE_PATHS = """
with recursive path(page, above, steps) as (
    select cdm_id, parent_item_cdm_id, 0 from cdm_doc_item where _deleted_at is null and doc_type in ('page', 'blogpost')
    union all
    select p.page, i.parent_item_cdm_id, p.steps + 1 from path p join cdm_doc_item i on i.cdm_id = p.above
    where i._deleted_at is null and p.steps < 100
)
select page, max(steps), sum(above is null) from path group by page
"""
READERS = """
select a.doc_cdm_id, coalesce(m.user_cdm_id, json_extract(a.properties, '$.principal_cdm_id'))
from cdm_doc_access a
left join cdm_identity_member m
    on a.principal_type = 'group' and m.group_cdm_id = json_extract(a.properties, '$.principal_cdm_id') and m._deleted_at is null
where a._deleted_at is null
"""


class Warehouse:
    def __init__(self, folder: Path, sim: Simulation) -> None:
        self.folder = folder
        endpoint = endpoint_of(sim, acl_folders="open")
        document = {
            "endpoints": [{"id": WIKI, "template": endpoint.template, "config": endpoint.config}],
            "sinks": [{"id": "models", "template": "cdm.jdbc", "config": {"url": "sqlite:///models.db"}}],
            "units": [
                {"endpoint": WIKI, "unit": "confluence.*", "enabled": True, "mode": "cdm", "sink_endpoint": "models"}
            ],
        }
        (folder / "ingest.yaml").write_text(yaml.safe_dump(document))
        config = load_config(folder / "ingest.yaml")
        apply(config)
        self.installation = Installation(config.settings)
        self.warnings = collect(self.installation, WIKI).warnings
        for model_id in MODELS:
            if model_id.startswith(("cdm.doc.", "cdm.identity.")):
                provision(self.installation, "models", model_id)

    def run(self, *units: str, **options: Any) -> None:
        report = run(self.installation, WIKI, units, **options)
        assert report.state is RunState.SUCCEEDED, [(unit.unit_id, unit.error) for unit in report.units if unit.error]

    def select(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.folder / "models.db")
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module", params=["cloud", "dc"])
def site(request: pytest.FixtureRequest) -> Iterator[Simulation]:
    with simulate("confluence", request.param, pages=230, spaces=3, frozen=True) as sim:
        yield sim


@pytest.fixture(scope="module")
def warehouse(site: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    made = Warehouse(tmp_path_factory.mktemp("analyst"), site)
    made.run()
    return made


def item(number: str) -> str:
    return f"cdm:doc:item:{WIKI}:{number}"


def user(account: str) -> str:
    return f"cdm:work:user:{WIKI}:{account}"


def living(site: Simulation) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in site.expected("pages") if record["status"] != "trashed"}


def instant_ms(text: str) -> int:
    when = datetime.fromisoformat(text)
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def test_one_pattern_selects_every_unit_that_has_a_mapper(site: Simulation, warehouse: Warehouse) -> None:
    left_out = {name for name in UNMAPPED if any(f".{name}' has no CDM mapper" in text for text in warehouse.warnings)}
    assert left_out == (UNMAPPED if site.mode == "cloud" else {"label"})


def test_comments_of_a_page(site: Simulation, warehouse: Warehouse) -> None:
    answer = warehouse.select(
        "select item_cdm_id, cdm_id, author_cdm_id, created_at, is_inline, parent_comment_cdm_id, resolution, body"
        " from cdm_doc_comment where _deleted_at is null"
    )
    rows = {row[1].rpartition(":")[2]: row for row in answer}
    truth = {c["id"]: (r, c) for r in living(site).values() if r["status"] == "current" for c in r["comments"]}
    assert rows.keys() == truth.keys() != set()
    for number, (record, comment) in truth.items():
        page, _, author, created, is_inline, parent, resolution, body = rows[number]
        assert (page, author, bool(is_inline)) == (item(record["id"]), user(comment["author"]), comment["inline"])
        assert instant_ms(created) == comment["created_ms"]
        assert (parent.rpartition(":")[2] if parent else None) == comment["parent"]
        assert resolution == (("resolved" if comment["resolved"] else "open") if comment["inline"] else None)
        assert body


def test_every_page_has_its_path_in_the_tree(site: Simulation, warehouse: Warehouse) -> None:
    paths = {page: (steps, tops) for page, steps, tops in warehouse.select(TREE_PATHS)}
    truth = living(site)
    assert paths.keys() == {item(number) for number in truth}
    assert {page for page, (_, tops) in paths.items() if tops != 1} == set(), "their path ends before the top"
    for number, record in truth.items():
        assert paths[item(number)][0] == len(record["ancestors"]), number


def test_who_may_read_through_groups(site: Simulation, warehouse: Warehouse) -> None:
    found: dict[str, set[str]] = {}
    for page, reader in warehouse.select(READERS):
        found.setdefault(page, set()).add(reader)
    key = "account_id" if site.mode == "cloud" else "key"
    licensed = {user(u[key]) for u in site.expected("users") if u["active"] and u["kind"] == "atlassian"}
    files: dict[str, str] = {}
    for record in living(site).values():
        if record["status"] == "current":
            files |= {file["id"]: record["id"] for file in record["attachments"]}
    truth = {r["id"]: {user(each) for each in r["users"]} for r in site.expected("readers") if r["status"] != "trashed"}
    for number, readers in truth.items():
        assert found.pop(item(number), set()) & licensed == readers, number
    for file, page in files.items():
        assert found.pop(item(file), set()) & licensed == truth[page], file
    assert found == {}, "access rows exist for what has an item only"


def test_pages_that_link_to_an_issue(site: Simulation, warehouse: Warehouse) -> None:
    answer = warehouse.select(
        "select from_item_cdm_id, to_item_cdm_id from cdm_doc_link"
        " where _deleted_at is null and to_item_cdm_id like 'cdm:work:item:%'"
    )
    truth = set()
    for record in living(site).values():
        if record["issue"] is not None:
            kind, key = record["issue"]
            keys = [key, f"{key}0"] if kind == "list" else [key]
            truth |= {(item(record["id"]), f"cdm:work:item:{WIKI}:{each}") for each in keys}
    assert {kind for record in living(site).values() if record["issue"] for kind in record["issue"][:1]} == {
        "macro", "address", "card", "board", "list",
    }  # fmt: skip
    assert set(answer) == truth


def test_when_and_by_whom_each_page_was_last_edited_and_which_are_stale(site: Simulation, warehouse: Warehouse) -> None:
    answer = {
        page: (updated, editor)
        for page, updated, editor in warehouse.select(
            "select cdm_id, updated_at, updated_by_cdm_id from cdm_doc_item"
            " where _deleted_at is null and doc_type in ('page', 'blogpost')"
        )
    }
    truth = living(site)
    assert {page: (instant_ms(updated), editor) for page, (updated, editor) in answer.items()} == {
        item(n): (r["modified_ms"], user(r["editor"])) for n, r in truth.items()
    }
    since_ms = (
        sorted(record["modified_ms"] for record in truth.values())[len(truth) // 3] // EPOCH_DAY_MS * EPOCH_DAY_MS
    )
    day = datetime.fromtimestamp(since_ms / 1000, UTC).strftime("%Y-%m-%d")
    stale = warehouse.select(
        "select cdm_id from cdm_doc_item where _deleted_at is null and doc_type = 'page' and date(updated_at) < ?", day
    )
    assert (
        {page for (page,) in stale}
        == {item(n) for n, r in truth.items() if r["type"] == "page" and r["modified_ms"] < since_ms}
        != set()
    )


def test_attachments_per_space_with_their_creation(site: Simulation, warehouse: Warehouse) -> None:
    answer = warehouse.select(
        "select s.key, i.cdm_id, i.created_at, i.created_by_cdm_id, i.parent_item_cdm_id from cdm_doc_item i"
        " join cdm_doc_space s on s.cdm_id = i.space_cdm_id"
        " where i._deleted_at is null and i.doc_type = 'attachment'"
    )
    truth = {
        (r["space"], item(f["id"]), f["first_ms"], user(f["creator"]), item(r["id"]))
        for r in living(site).values()
        if r["status"] == "current"
        for f in r["attachments"]
    }
    assert {(key, file, instant_ms(created), by, page) for key, file, created, by, page in answer} == truth != set()


def test_deleted_items(site: Simulation, warehouse: Warehouse) -> None:
    trashed = {str(number) for number in site.mutate("trash", count=4, seed=11)}
    hidden = {str(number) for number in site.mutate("restrict", count=2, seed=12, readers=["u1"])}
    site.advance_clock(600)
    warehouse.run("confluence.page", "confluence.acl")
    gone = warehouse.select(
        "select cdm_id from cdm_doc_item where _deleted_at is not null and doc_type in ('page', 'blogpost')"
    )
    assert {item(number) for number in trashed} <= {page for (page,) in gone}
    readable = {page for (page,) in warehouse.select("select doc_cdm_id from cdm_doc_access where _deleted_at is null")}
    assert not readable & {item(number) for number in trashed | hidden}, "access follows in the same run"
