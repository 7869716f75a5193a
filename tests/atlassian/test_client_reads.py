"""Third-party clients read everything that they have a method for; what the sites have not, or refuse, is named here."""

import json
from typing import Any

import pytest

from ingest_ray.simulators.atlassian import Simulation, simulate
from tests.atlassian.test_clients import python_client

pytestmark = pytest.mark.slow
TRAPS = ["service-desks", "random-access"]


def jira_arguments(sim: Simulation) -> dict[str, Any]:
    records = list(sim.expected("issues"))
    commented = next(r for r in records if r["issue"]["fields"]["comment"])
    file = next(file for r in records for file in r["issue"]["fields"]["attachment"])
    me = next(iter(sim.expected("users")))
    person = me.get("accountId") or me["name"]
    group = next(iter(sim.expected("groups")))["name"]
    project = commented["project"]
    names = ("issue_key", "issue", "issue_id_or_key", "issue_id")
    return dict.fromkeys(names, commented["key"]) | {
        "key": project, "project_key": project, "project": project, "project_id": project, "project_id_or_key": project,
        "comment_id": commented["issue"]["fields"]["comment"][0]["id"], "attachment_id": file["id"], "jql": f"project = {project}",
        "board_id": 1, "sprint_id": 1, "query": ".", "username": person, "account_id": person, "group": group, "group_name": group,
        "role_id": 10002, "scheme_id": 10000, "version": "30000", "version_id": "30000", "component_id": "20000", "filter_id": 10000,
        "status_id": "10000", "status_name": "Done", "field_id": "customfield_10020", "context_id": 10100, "issuetype": "Bug",
        "issue_type": "Bug", "permission_id": 10000, "type_id": 10000, "issue_type_id": 10000, "transition_id": 11,
    }  # fmt: skip


def wiki_arguments(sim: Simulation) -> dict[str, Any]:
    pages = [r for r in sim.expected("pages") if r["status"] == "current"]
    page = next(r for r in pages if r["type"] == "page" and r["labels"])
    me = next(iter(sim.expected("users")))
    space = json.loads(sim.call("GET", "expected?kind=spaces")[0].splitlines()[0])
    return {
        "page_id": page["id"], "content_id": page["id"], "space_key": page["space"], "space": page["space"], "title": page["title"],
        "comment_id": next(c["id"] for r in pages for c in r["comments"]), "attachment_id": next(a["id"] for r in pages for a in r["attachments"]),
        "blogpost_id": next(r["id"] for r in pages if r["type"] == "blogpost"), "space_id": str(space["id"]), "version_number": 1,
        "cql": "type = page", "query": "type = page", "label": "x", "content_type": "page", "parent_id": page["id"],
        "username": me.get("username"), "userkey": me.get("key"), "user_key": me.get("key"), "user_id": me.get("account_id"),
        "group_name": next(iter(sim.expected("groups")))["name"], "property_key": "editor", "page_property_key": "editor",
    }  # fmt: skip


def read_with(version: str, sim: Simulation, product: str) -> dict[str, Any]:
    arguments = jira_arguments(sim) if product == "jira" else wiki_arguments(sim)
    return python_client(
        "atlassian-python-api", version, "atlassian_reads.py",
        product, sim.url, sim.user, sim.token, sim.mode, json.dumps(arguments),
    )  # fmt: skip


# Of administration, of people's browsers, or of paths that the product does not have: no reader of a site needs them.
NOT_SERVED = {
    "get_advanced_settings", "get_agile_board_by_filter_id", "get_agile_board_properties", "get_agile_board_refined_velocity",
    "get_all_priority_schemes", "get_all_system_avatars", "get_all_time_tracking_providers", "get_all_versions_from_board",
    "get_attachment_expand_human", "get_attachment_expand_raw", "get_audit_records", "get_autocomplete_suggestion",
    "get_comment_properties_keys", "get_custom_field_options", "get_issues_without_epic", "get_project_validated_key",
    "get_selected_time_tracking_provider", "get_time_tracking_settings",
}  # fmt: skip
# The client calls them with arguments that the site has no object for.
ASKS_FOR_NOTHING = {"get_user_groups", "get_users_with_browse_permission_to_a_project"}
OTHER_PRODUCT: dict[tuple[str, str], set[str]] = {
    ("jira", "cloud"): {"get_all_workflows", "project_leaders"},  # people of Cloud have no `name`
    ("jira", "dc"): {
        "approximate_issue_count", "enhanced_jql", "enhanced_jql_get_list_of_tickets", "get_custom_field_option_context",
        "get_custom_fields", "get_workflows_paginated",
    },
    # Paths that are not in the OpenAPI file of v2 (`comments/{id}`, `search`, `whiteboards`), values that are not (`body-format: none`),
    # and the administration of classification and data policies.
    ("confluence", "cloud"): {
        "check_user_access_by_email", "get_admin_key", "get_classification_levels", "get_comment_by_id", "get_comment_children", "get_content",
        "get_content_classification_level", "get_custom_content", "get_data_policy_metadata", "get_data_policy_spaces",
        "get_page_property_by_key", "get_pages", "get_space_content", "get_space_default_classification_level",
        "get_space_permission_combinations", "get_space_whiteboards", "search", "search_content",
    },
    # Experimental paths and JSON-RPC of older versions, and a group that is named `confluence-users` in the client.
    ("confluence", "dc"): {
        "get_all_blueprints_from_space", "get_all_members", "get_all_templates_from_space", "get_attachment_history", "get_blueprint_templates",
        "get_content_history_by_version_number", "get_content_templates", "get_group_members", "get_space_permissions",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("product", "mode", "version", "least"),
    [("jira", "cloud", "5.0.5", 110), ("jira", "dc", "5.0.5", 110), ("confluence", "cloud", "5.0.5", 50), ("confluence", "dc", "4.0.7", 50)],
)  # fmt: skip
def test_every_read_method_of_atlassian_python_api_is_served_or_named(
    product: Any, mode: Any, version: str, least: int
) -> None:
    with simulate(
        product,
        mode,
        issues=120,
        projects=3,
        pages=120,
        spaces=3,
        traps=TRAPS if product == "jira" else [],
        frozen=True,
    ) as sim:
        got = read_with(version, sim, product)
    known = OTHER_PRODUCT[product, mode] | (NOT_SERVED | ASKS_FOR_NOTHING if product == "jira" else set())
    assert {name: why for name, why in got["failed"].items() if name not in known} == {}
    assert got["called"] >= least
    assert not any(why.endswith(" 500") for why in got["failed"].values())


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_every_read_method_of_the_client_jira_is_served(mode: Any) -> None:
    with simulate("jira", mode, issues=150, projects=4, traps=TRAPS, frozen=True) as sim:
        got = python_client("jira", "3.10.5", "jira_reads.py", sim.url, sim.user, sim.token, mode, "BOR")
        truth = sum(record["project"] == "BOR" for record in sim.expected("issues", brief=True))
        people = sum(person["active"] for person in sim.expected("users"))
    assert got["failed"] == {}
    found = got["found"]
    assert found["search_issues"] == truth
    assert found["search_assignable_users_for_issues"] == people
    assert found["boards"] == found["projects"] == 4
    assert len(found) > 55
