"""Jira and Confluence in the common data model: golden rows that people can review, and properties of all rows.

`python -m tests.strategies.test_cdm_mappers` writes the golden file again, after an intended change.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from ingest_ray.cdm import MODELS, MapContext, apply_cdm, mapper_for
from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_strategies.confluence import http as confluence
from ingest_strategies.jira import http as jira
from tests.strategies.lake import site_endpoint

GOLDEN = Path(__file__).parent / "golden" / "cdm_rows.jsonl"
SITES: dict[str, dict[str, Any]] = {
    "jira": {"issues": 12, "projects": 2},
    "confluence": {"pages": 14, "spaces": 2},
}
UNITS = {
    "jira": (
        "jira.projects",
        "jira.users",
        "jira.issues",
        "jira.comments",
        "jira.worklogs",
        "jira.changelogs",
        "jira.issue_links",
        "jira.remote_links",
        "jira.sprints",
        "jira.sprint_issues",
        "jira.acl",
        "jira.groups",
        "jira.group_members",
    ),
    "confluence": (
        "confluence.space",
        "confluence.page",
        "confluence.attachment",
        "confluence.acl",
        "confluence.comment",
        "confluence.folder",
        "confluence.group",
        "confluence.member",
    ),
}
STRATEGIES = {"jira": jira, "confluence": confluence}
TEMPLATES = {"jira": "jira.http", "confluence": "http.confluence"}
FEW = 3  # golden rows of each unit and deployment


@cache
def preview_units(product: str, mode: str) -> tuple[Endpoint, dict[str, tuple[Dataset, pa.Table]]]:
    """The rows of every unit of a small site, as its strategy reads them, with a fixed address of the site."""
    with simulate(product, mode, frozen=True, **SITES[product]) as sim:  # type: ignore[arg-type]
        endpoint = endpoint_of(sim, product)
        datasets = {dataset.name: dataset for dataset in STRATEGIES[product].collect(endpoint)}
        tables = {
            name: (
                datasets[name],
                with_fixed_address(STRATEGIES[product].preview(endpoint, datasets[name], 500), sim.url),
            )
            for name in UNITS[product]
            if name in datasets  # Data Center has no folders
        }
    return endpoint.model_copy(update={"config": {"base_url": "https://site.example"}}), tables


def endpoint_of(sim: Simulation, product: str) -> Endpoint:
    return site_endpoint(sim, product, TEMPLATES[product])


def with_fixed_address(table: pa.Table, url: str) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(index, field, pc.replace_substring(table[field.name], url, "https://site.example"))
    return table


def map_units(product: str, mode: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(unit, model, row)"""
    endpoint, tables = preview_units(product, mode)
    for unit, (dataset, table) in tables.items():
        for model, batches in apply_cdm(endpoint, unit, table.to_batches(), dataset=dataset, system="acme").items():
            for batch in batches:
                for row in batch.to_pylist():
                    yield unit, model, row


def golden_lines() -> Iterator[str]:
    for product in SITES:
        for mode in ("cloud", "dc"):
            seen: dict[tuple[str, str], int] = {}
            for unit, model, row in sorted(
                map_units(product, mode), key=lambda entry: (*entry[:2], entry[2]["cdm_id"])
            ):
                seen[unit, model] = seen.get((unit, model), 0) + 1
                if seen[unit, model] <= FEW:
                    shown = {name: value for name, value in row.items() if value not in (None, [])}
                    line = {"site": f"{product} {mode}", "unit": unit, "model": model, "row": shown}
                    yield json.dumps(line, ensure_ascii=False, default=lambda value: value.isoformat())


@pytest.mark.slow
def test_rows_are_as_the_golden_file_has_them() -> None:
    lines, expected = list(golden_lines()), GOLDEN.read_text().splitlines()
    different = [(new, old) for new, old in zip(lines, expected, strict=False) if new != old]
    assert different == []
    assert len(lines) == len(expected)


@pytest.mark.parametrize("mode", ["cloud", "dc"])
@pytest.mark.parametrize("product", list(SITES))
def test_ids_have_the_contracts_form_and_are_unique(product: str, mode: str) -> None:
    rows = list(map_units(product, mode))
    ids: dict[str, list[str]] = {}
    for _, model, row in rows:
        assert row["cdm_id"].startswith(f"{model.replace('.', ':')}:acme:")
        assert row["source_system"] == "acme"
        ids.setdefault(model, []).append(row["cdm_id"])
    assert all(len(set(of_model)) == len(of_model) for of_model in ids.values())


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_items_equal_the_issues_of_the_site(mode: str) -> None:
    with simulate("jira", mode, **SITES["jira"]) as sim:  # type: ignore[arg-type]
        truth = {record["key"]: record["issue"]["fields"] for record in sim.expected("issues")}
    items = {row["source_issue_key"]: row for _, model, row in map_units("jira", mode) if model == "cdm.work.item"}
    assert items.keys() == truth.keys()
    for key, fields in truth.items():
        row = items[key]
        assert (row["summary"], row["status"], row["labels"]) == (
            fields["summary"],
            fields["status"]["name"],
            fields["labels"],
        )
        assert row["source_url"] == f"https://site.example/browse/{key}"
        person = fields["assignee"] and (fields["assignee"].get("accountId") or fields["assignee"]["key"])
        assert row["assignee_cdm_id"] == (f"cdm:work:user:acme:{person}" if person else None)
        assert (row["description"] is None) == (not fields["description"])
        assert len(json.dumps(row["raw_source"])) < 20_000


def test_both_deployments_give_the_same_text_in_the_common_data_model() -> None:
    """The same issue, once in ADF and once in wiki markup: the same words."""
    texts = []
    for mode in ("cloud", "dc"):
        descriptions = {r["source_id"]: r["description"] for _, m, r in map_units("jira", mode) if m == "cdm.work.item"}
        texts.append({key: words(text) for key, text in descriptions.items() if text and "@" not in text})
    both = texts[0].keys() & texts[1].keys()
    assert len(both) >= 6
    assert {key: texts[0][key] for key in both} == {key: texts[1][key] for key in both}


def words(text: str) -> list[str]:
    return [word for word in text.replace("<", " ").replace(">", " ").split() if word not in ("```python", "```")]


def test_a_deleted_worklog_and_a_trashed_page_make_no_row() -> None:
    endpoint, tables = preview_units("jira", "cloud")
    dataset, table = tables["jira.worklogs"]
    deleted = dict.fromkeys(table.schema.names) | {"id": "7", "deleted_at": datetime(2024, 1, 1, tzinfo=UTC)}
    deleted["updated"] = deleted["deleted_at"]
    batches_by_model = apply_cdm(
        endpoint, "jira.worklogs", pa.Table.from_pylist([deleted], schema=table.schema).to_batches(), dataset=dataset
    )
    assert [batch.num_rows for batch in batches_by_model["cdm.work.worklog"]] == [0]
    endpoint, tables = preview_units("confluence", "cloud")
    dataset, table = tables["confluence.page"]
    page = {**table.to_pylist()[0], "status": "trashed"}
    trashed = apply_cdm(
        endpoint, "confluence.page", pa.Table.from_pylist([page], schema=table.schema).to_batches(), dataset=dataset
    )
    assert {model: sum(batch.num_rows for batch in batches) for model, batches in trashed.items()} == {
        "cdm.doc.item": 0,
        "cdm.doc.revision": 0,
        "cdm.doc.link": 0,
    }


def test_links_to_pages_of_the_same_site_are_resolved_to_their_ids() -> None:
    endpoint, tables = preview_units("confluence", "cloud")
    dataset, table = tables["confluence.page"]
    body = (
        '<a href="https://site.example/wiki/spaces/OPS/pages/4711/Title">a</a>'
        '<a href="/pages/viewpage.action?pageId=4712">b</a><a href="https://other.example/pages/4713">c</a>'
        '<ac:link><ri:content-entity ri:content-id="4714"/></ac:link><ac:link><ri:page ri:content-title="T"/></ac:link>'
    )
    page = {**table.to_pylist()[0], "body": body, "status": "current"}
    batches_by_model = apply_cdm(
        endpoint,
        "confluence.page",
        pa.Table.from_pylist([page], schema=table.schema).to_batches(),
        dataset=dataset,
        system="acme",
    )
    rows = [row for batch in batches_by_model["cdm.doc.link"] for row in batch.to_pylist()]
    ends = [(row["link_type"], (row["to_item_cdm_id"] or "").rpartition(":")[2]) for row in rows]
    assert ends == [
        ("internal", "4711"),
        ("internal", "4712"),
        ("external", ""),
        ("internal", "4714"),
        ("internal", ""),
    ]


def test_every_model_of_the_contract_has_a_mapper() -> None:
    mapped_models = {
        model
        for product, units in UNITS.items()
        for unit in units
        for model in mapper_for(TEMPLATES[product], unit).models
    }
    assert mapped_models == set(MODELS)


def test_a_page_of_rows_is_mapped_the_same_each_time_and_one_bad_row_costs_only_itself() -> None:
    endpoint, tables = preview_units("jira", "cloud")
    dataset, table = tables["jira.issues"]
    rows = table.to_pylist()
    rows[2]["payload"] = "{broken"
    page = pa.Table.from_pylist(rows, schema=table.schema).combine_chunks().to_batches()[0]
    rejected: list[tuple[int, str, str | None]] = []
    context = MapContext(endpoint, dataset, "acme", lambda *rejection: rejected.append(rejection))
    mapper = mapper_for("jira.http", "jira.issues")
    first, second = mapper.map(page, context), mapper.map(page, context)
    assert first["cdm.work.item"].batch.equals(second["cdm.work.item"].batch)
    assert first["cdm.work.item"].origins == [n for n in range(len(rows)) if n != 2]
    assert {index for index, _, _ in rejected} == {2}


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(golden_lines()) + "\n")
